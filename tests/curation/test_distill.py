"""Distillation from a server that fails, truncates and errs as servers do; and what is kept of its answers."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError, EngineError
from configs.recipe import validate
from configs.run_directory import RunDir
from configs.schema.curation import DistillConfig
from curation import ask_model
from curation.distill import distill
from curation.distillation import run_distillation
from data.arithmetic import generate_problems
from data.formats import read
from models import server as client
from tests.chat_server import ChatServer, chat_server, completion

PROBLEMS = generate_problems(6, 0)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_WAIT", 0.001)


@pytest.fixture
def teach() -> Iterator[Any]:
    """A server whose replies are made by `behave` from (problem, times asked)."""
    with ExitStack() as stack:

        def start(behave: Any) -> ChatServer:
            asked, lock = Counter[str](), threading.Lock()

            def answer(body: dict[str, Any]) -> tuple[int, Any]:
                question = body["messages"][-1]["content"]
                with lock:
                    asked[question] += 1
                    times = asked[question]
                return tuple(behave(next(p for p in PROBLEMS if question.startswith(p.question)), times))

            return stack.enter_context(chat_server(answer))

        yield start


def config(tmp_path: Path, url: str, **changes: Any) -> DistillConfig:
    values = {
        "data": {"source": "arithmetic"},
        "server": {"url": url, "model": "teacher", "retries": 3, **changes.pop("server", {})},
        "samples": 2,
        "output_dir": str(tmp_path),
        **changes,
    }
    checked: DistillConfig = validate("distill", values, "test")
    return checked


def samples(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]


def test_only_right_answers_become_traces(tmp_path: Path, teach: Any) -> None:
    def behave(problem: Any, times: int) -> tuple[int, dict[str, Any]]:
        place = PROBLEMS.index(problem)
        if place == 0:
            return 200, completion("<think>\nlong it is\n</think>\n\nIt is -1.")  # wrong
        if place == 1:
            return 200, completion("<think>\nand on and on", "length")
        if place == 2:
            return 200, completion(problem.answer, reasoning="reasoned " * times)
        return 200, completion(f"<think>\n{'so ' * times}\n</think>\n\nThe answer is {problem.answer}.")

    teacher = teach(behave)
    run_distillation(config(tmp_path, teacher.url), RunDir(tmp_path), PROBLEMS)
    traces = list(read(tmp_path / "traces.jsonl"))
    assert [t.question for t in traces] == [p.question for p in PROBLEMS[2:]]
    assert [t.answer for t in traces] == [p.answer for p in PROBLEMS[2:]]
    assert traces[0].thinking == "reasoned"
    assert traces[1].thinking == "so"  # the shorter of two
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["problems"], summary["solved"], summary["traces"]) == (6, 4, 4)
    assert summary["answers"] == {"right": 8, "wrong": 2, "cut off": 2}
    body = teacher.bodies[0]
    assert body["path"] == "/v1/chat/completions"
    assert {b["seed"] for b in teacher.bodies} > {body["seed"]}


def saying(answers: dict[int, list[str]]) -> Any:
    """Behaviour of a teacher that gives these answers to a problem, one after the other, and right ones to others."""

    def behave(problem: Any, times: int) -> tuple[int, dict[str, Any]]:
        said = answers.get(PROBLEMS.index(problem), [problem.answer])
        return 200, completion(f"<think>\n{'so ' * times}\n</think>\n\n{said[(times - 1) % len(said)]}")

    return behave


def test_answers_without_gold_are_kept_as_ungraded(
    tmp_path: Path, teach: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = [replace(problem, answer="") for problem in PROBLEMS[:2]]
    made = config(tmp_path, teach(saying({1: [""]})).url, server={"concurrency": 1}, keep=2, without_gold="keep")
    run_distillation(made, RunDir(tmp_path), [*bare, PROBLEMS[2]])
    traces = list(read(tmp_path / "traces.jsonl"))
    assert [(t.id, t.answer) for t in traces] == [
        (f"{PROBLEMS[0].id}#0", None),
        (f"{PROBLEMS[0].id}#1", None),
        *((f"{PROBLEMS[2].id}#{i}", PROBLEMS[2].answer) for i in (0, 1)),
    ]
    assert [t.metadata.get("verdict") for t in traces] == ["ungraded", "ungraded", None, None]
    assert "2 of the traces are ungraded, as `verdict` says" in capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["answers"] == {"ungraded": 2, "empty": 2, "right": 2}
    assert (summary["solved"], summary["ungraded"]) == (2, 2)


def test_answers_without_gold_may_have_to_agree(tmp_path: Path, teach: Any) -> None:
    bare = [replace(problem, answer="") for problem in PROBLEMS[:2]]
    said = {0: ["It is 1,000.", "2", r"\boxed{1000}", "1000.0"], 1: ["1", "1", "2", "3"]}
    made = config(
        tmp_path, teach(saying(said)).url, server={"concurrency": 1}, samples=4, keep=4, without_gold="majority"
    )
    run_distillation(made, RunDir(tmp_path), bare)
    traces = list(read(tmp_path / "traces.jsonl"))
    assert [t.id for t in traces] == [f"{PROBLEMS[0].id}#{i}" for i in (0, 2, 3)]
    assert {t.metadata["verdict"] for t in traces} == {"ungraded, of the majority"}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["answers"] == {"of no majority": 5, "ungraded, of the majority": 3}


def test_questions_of_a_text_file_are_distilled(tmp_path: Path, teach: Any) -> None:
    (tmp_path / "q.txt").write_text("".join(f"{problem.question}\n" for problem in PROBLEMS[:3]))
    server = {"url": teach(saying({})).url, "model": "teacher"}
    values = {"data": {"path": str(tmp_path / "q.txt")}, "server": server, "output_dir": str(tmp_path / "out")}
    with pytest.raises(DataError, match=r"q\.txt:1: no answer in column 'answer'.*without_gold=keep, or"):
        distill(validate("distill", values, "test"))
    assert not (tmp_path / "out").exists()
    distill(validate("distill", values | {"without_gold": "keep"}, "test"))
    assert [t.question for t in read(tmp_path / "out" / "traces.jsonl")] == [p.question for p in PROBLEMS[:3]]


def test_majority_needs_three_samples() -> None:
    with pytest.raises(ConfigError, match="without_gold: a majority needs at least samples=3"):
        config(Path("out"), "http://localhost:1/v1", without_gold="majority")


def test_resumed_run_asks_only_open_questions(tmp_path: Path, teach: Any) -> None:
    broken = True

    def behave(problem: Any, times: int) -> tuple[int, dict[str, Any]]:
        if problem == PROBLEMS[0] and broken:
            return 500, {"error": "out of memory"}
        if times % 2:
            return 429, {"error": "slow down"}
        return 200, completion(f"<think>\nt\n</think>\n\n{problem.answer}")

    teacher = teach(behave)
    made = config(tmp_path, teacher.url, server={"concurrency": 1}, samples=1)
    run_distillation(made, RunDir(tmp_path), PROBLEMS)
    rows = {row["id"]: row for row in samples(tmp_path)}
    assert "500" in rows[PROBLEMS[0].id]["error"]
    assert teacher.asked[PROBLEMS[0].question] == 4
    assert all(teacher.asked[p.question] == 2 for p in PROBLEMS[1:])
    broken = False
    run_distillation(made, RunDir(tmp_path), PROBLEMS)
    assert all(teacher.asked[p.question] == 2 for p in PROBLEMS[1:])
    assert len(list(read(tmp_path / "traces.jsonl"))) == 6


def test_question_with_a_reused_id_is_asked(tmp_path: Path, teach: Any) -> None:
    teacher = teach(lambda problem, times: (200, completion(f"<think>\nt\n</think>\n\n{problem.answer}")))
    made = config(tmp_path, teacher.url, samples=1)
    run_distillation(made, RunDir(tmp_path), PROBLEMS)
    moved = [replace(problem, id=before.id) for before, problem in pairwise(PROBLEMS)]
    run_distillation(made, RunDir(tmp_path), moved)
    assert all(teacher.asked[problem.question] == 2 for problem in moved)
    traces = list(read(tmp_path / "traces.jsonl"))
    assert [(t.question, t.reply) for t in traces] == [(p.question, p.answer) for p in moved]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["answers"] == {"right": len(moved), "of another data set": len(PROBLEMS)}
    run_distillation(made, RunDir(tmp_path), PROBLEMS)  # what was answered for them is there still
    assert [t.question for t in read(tmp_path / "traces.jsonl")] == [p.question for p in PROBLEMS]
    assert all(teacher.asked[problem.question] == 2 for problem in moved)


def test_key_comes_from_the_environment(tmp_path: Path, teach: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = teach(lambda problem, _: (200, completion(problem.answer)))
    made = config(tmp_path, teacher.url, server={"api_key_env": "TEACHER_KEY"}, samples=1)
    with pytest.raises(EngineError, match="TEACHER_KEY is not set"):
        run_distillation(made, RunDir(tmp_path), PROBLEMS)
    monkeypatch.setenv("TEACHER_KEY", "k")
    run_distillation(made, RunDir(tmp_path), PROBLEMS)
    assert teacher.bodies[0]["key"] == "Bearer k"
    assert "Bearer" not in (tmp_path / "samples.jsonl").read_text()


def test_requests_run_concurrently(tmp_path: Path, teach: Any) -> None:
    together = threading.Barrier(120, timeout=20)

    def behave(problem: Any, _: int) -> tuple[int, dict[str, Any]]:
        together.wait()
        return 200, completion(f"<think>\nt\n</think>\n\n{problem.answer}")

    made = config(tmp_path, teach(behave).url, server={"concurrency": 120, "retries": 0}, samples=20)
    run_distillation(made, RunDir(tmp_path), PROBLEMS)
    assert not any(row["error"] for row in samples(tmp_path))


def test_custom_think_format_is_parsed(tmp_path: Path, teach: Any) -> None:
    written = {"open": "[[think]]", "end": "[[answer]]\n", "end_tokens": ["[[answer]]"]}
    teacher = teach(lambda problem, _: (200, completion(f"[[think]]\n2 + 2\n[[answer]]\n{problem.answer}")))
    run_distillation(config(tmp_path, teacher.url, think_format=written, samples=1), RunDir(tmp_path), PROBLEMS)
    traces = list(read(tmp_path / "traces.jsonl"))
    assert [(t.thinking, t.reply) for t in traces] == [("2 + 2", p.answer) for p in PROBLEMS]


def test_run_killed_while_writing_resumes(tmp_path: Path, teach: Any) -> None:
    teacher = teach(lambda problem, _: (200, completion(f"<think>\nt\n</think>\n\n{problem.answer}")))
    made = config(tmp_path, teacher.url, samples=1)
    run_distillation(made, RunDir(tmp_path), PROBLEMS)
    file = tmp_path / "samples.jsonl"
    file.write_text(file.read_text()[:-40])
    run_distillation(made, RunDir(tmp_path), PROBLEMS)
    assert sorted(row["id"] for row in samples(tmp_path)) == sorted(p.id for p in PROBLEMS)
    assert len(list(read(tmp_path / "traces.jsonl"))) == 6


@pytest.mark.parametrize(("status", "message"), [(401, "401"), (404, "check server.url, model and key")])
def test_refusing_server_stops_the_run(tmp_path: Path, teach: Any, status: int, message: str) -> None:
    teacher = teach(lambda *_: (status, {"error": "no"}))
    with pytest.raises(EngineError, match=message):
        run_distillation(config(tmp_path, teacher.url, server={"concurrency": 1}), RunDir(tmp_path), PROBLEMS)
    assert sum(teacher.asked.values()) == 1


def test_missing_server_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="start the server"):
        run_distillation(config(tmp_path, "http://127.0.0.1:9/v1", server={"retries": 1}), RunDir(tmp_path), PROBLEMS)


def test_teacher_is_either_server_or_model() -> None:
    with pytest.raises(ConfigError, match="a server or a model"):
        validate("distill", {"data": {"source": "gsm8k"}}, "test.yaml")


def test_answers_as_long_as_the_context_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_tokens: 8192 .* model\.max_length=2048"):
        validate("distill", {"data": {"source": "gsm8k"}, "model": {"name": "smollm2-135m"}}, "test.yaml")


@pytest.mark.engine
def test_engine_teaches_in_several_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_model, "CALL", 3)
    made: DistillConfig = validate(
        "distill",
        {
            "data": {"source": "arithmetic", "limit": 2},
            "model": {"name": "smollm2-135m", "max_length": 256, "precision": "fp32"},
            "think_format": "s1",
            "samples": 2,
            "max_tokens": 24,
            "output_dir": str(tmp_path),
        },
        "test",
    )
    long = replace(PROBLEMS[2], question=PROBLEMS[2].question * 20)
    run_distillation(made, RunDir(tmp_path), [PROBLEMS[0], long, PROBLEMS[1]])
    rows = [row for row in samples(tmp_path) if not row["error"]]
    assert {row["key"] for row in rows} == {f"{p.id}#{i}" for p in PROBLEMS[:2] for i in range(2)}
    assert all(row["text"].startswith("<|im_start|>think\n") for row in rows)
    assert len({row["text"] for row in rows}) == 4
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["answers"]["not asked"], summary["not_asked"]) == (2, [long.id])
