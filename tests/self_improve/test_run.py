"""Rounds through the real commands: a tiny model that is unsure learns what a judge likes; kills lose nothing."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError, DataError
from configs.round_record import KEPT, read_posed, read_rounds
from configs.run_directory import read_jsonl, write_jsonl
from self_improve.run import self_improve
from tests.chat_server import ChatServer, chat_server, completion
from tests.tiny import tiny_model

ROOT = Path(__file__).parents[2]
RIGHT, WRONG = "12", "7"
"""What the model answers to everything, the one as often as the other, until it has learnt."""
TRAINER = {
    "per_device_train_batch_size": 8,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "weight_decay": 0.0,
}


def question(number: int) -> str:
    """Of one length for numbers of three digits: a tiny model knows positions, not words."""
    return f"Box {number} of a row holds {number + 3} red pens. How many?"


@pytest.fixture(scope="module")
def unsure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that answers 12 or 7, trained by `mull sft`."""
    folder = tmp_path_factory.mktemp("unsure")
    rows = [{"question": question(100 + at), "thinking": "so", "reply": (RIGHT, WRONG)[at % 2]} for at in range(64)]
    write_jsonl(folder / "rows.jsonl", rows)
    recipe = {
        "model": {"name": str(tiny_model(folder / "base")), "precision": "fp32", "max_length": 256},
        "adapter": None,
        "data": {"path": str(folder / "rows.jsonl")},
        "trainer": TRAINER | {"max_steps": 60, "lr_scheduler_type": "cosine"},
        "output_dir": str(folder / "run"),
    }
    (folder / "sft.yaml").write_text(yaml.safe_dump(recipe))
    done = mull("sft", "--config", str(folder / "sft.yaml"))
    assert done.returncode == 0, done.stderr
    return folder / "run" / "model"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """Poses a new problem when asked for one, and judges solutions that end with 12 as perfect, others as useless."""
    posed = 0

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        nonlocal posed
        asked = str(body["messages"][-1]["content"])
        if asked.startswith("Judge"):
            return 200, completion(json.dumps({"score": 10 if f'{RIGHT}"\n</reply>' in asked else 1}))
        posed += 1
        return 200, completion(f"<problem>{question(500 + posed)}</problem>" if posed % 6 else "I won't.")

    with chat_server(answer) as started:
        yield started


def recipe(tmp_path: Path, model: Path, server: ChatServer, **changes: Any) -> Path:
    """A recipe whose seeds, held-out problems and output lie in `tmp_path`."""
    write_jsonl(tmp_path / "seeds.jsonl", [{"question": question(200 + at)} for at in range(4)])
    held_out = [{"question": question(300 + at), "answer": RIGHT} for at in range(40)]
    write_jsonl(tmp_path / "held_out.jsonl", held_out)
    who = {"url": server.url, "model": "m", "retries": 0}
    values = {
        "model": {"name": str(model), "precision": "fp32", "max_length": 256},
        "pose": {
            "by": "model", "problems": 24, "seeds": {"path": str(tmp_path / "seeds.jsonl")}, "shots": 2, "server": who,
        },
        "solve": {"samples": 4, "max_tokens": 48},
        "check": {"by": "judge", "judge": {"server": who}},
        "keep": {"traces": 2},
        "train": {"start_from": "last", "adapter": None, "trainer": TRAINER | {"max_steps": 20, "save_steps": 2}},
        "eval": {
            "data": {"path": str(tmp_path / "held_out.jsonl")}, "samples": 2,
            "budget": {"max_thinking": 24, "max_answer": 16},
        },
        "rounds": 3,
        "output_dir": str(tmp_path / "run"),
    } | changes  # fmt: skip
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def mull(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mull", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def started(file: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mull", "self_improve", "--config", str(file), *words], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    """Until a file of this pattern is there."""
    for _ in range(3000):
        if list(path.parent.glob(path.name)):
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError(f"{path} never came")


def steps(run: Path) -> list[str]:
    return [row["step"] for row in read_jsonl(run / "steps.jsonl")]


@pytest.mark.recipe
def test_round_that_helps_is_built_upon(tmp_path: Path, unsure: Path, server: ChatServer) -> None:
    done = mull("self_improve", "--config", str(recipe(tmp_path, unsure, server)))
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    start, first, *later = read_rounds(run)
    # 1. the model learnt what the judge likes
    assert start.accuracy["value"] < 0.85
    assert first.accuracy["value"] > 0.9
    assert first.is_taken
    assert first.gain is not None
    assert first.gain["low"] > 0
    # 2. every step is an ordinary run, and says what became of everything
    for folder in ("round_0/eval", "round_1/posed", "round_1/solved", "round_1/sft", "round_1/eval", "round_2/solved"):
        assert (run / folder / "run.json").is_file()
    posed = read_posed(run / "round_1")
    assert len(posed) == 24
    assert sum(one.fate == "malformed" for one in posed) == 4
    assert all(one.solution.endswith(RIGHT) for one in posed if one.fate == KEPT)
    assert {(row["thinking"], row["reply"]) for row in read_jsonl(run / "round_1" / "train.jsonl")} == {("so", RIGHT)}
    # 3. the second round goes on from the first, and finds nothing more to learn: either no problem at all,
    #    or one that a rare slip left over and that gains nothing
    solver = yaml.safe_load((run / "round_2" / "solved" / "config.yaml").read_text())["model"]["name"]
    assert solver == str(run / "round_1" / "sft" / "model")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["best_round"] == 1
    assert not any(record.is_taken for record in later)
    assert summary["stopped"].startswith(
        "1 round in a row did not help" if later else "round 2: nothing to train on, of what was posed: "
    )
    assert "Posed in round 2" in (run / "report.html").read_text()
    assert "go on with --resume" in mull("self_improve", "--config", str(tmp_path / "recipe.yaml")).stderr


@pytest.mark.recipe
def test_sigterm_reaches_the_training_and_it_resumes(tmp_path: Path, unsure: Path, server: ChatServer) -> None:
    file = recipe(tmp_path, unsure, server, rounds=1)
    run = tmp_path / "run"
    process = started(file)
    wait_for(run / "round_1" / "sft" / "metrics.jsonl", process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 143, said
    [checkpoint] = sorted((run / "round_1" / "sft" / "checkpoints").glob("checkpoint-*"))[-1:]
    before = (run / "round_1" / "solved" / "samples.jsonl").read_bytes()
    asked = len(server.bodies)

    resumed = mull("self_improve", "--config", str(file), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert f"--config {run}/round_1/sft.yaml --resume" in resumed.stdout
    assert int(checkpoint.name.rpartition("-")[2]) < 20
    assert (run / "round_1" / "solved" / "samples.jsonl").read_bytes() == before
    assert len(server.bodies) == asked
    rows = [row["step"] for row in read_jsonl(run / "round_1" / "sft" / "metrics.jsonl")]
    assert rows == list(range(1, 21))
    assert steps(run) == ["round 0, measure", *(f"round 1, {name}" for name in ("pose", "solve", "train", "measure"))]
    assert read_rounds(run)[1].accuracy["value"] > 0.9


@pytest.mark.recipe
def test_kill_loses_nothing(tmp_path: Path, unsure: Path, server: ChatServer) -> None:
    file = recipe(tmp_path, unsure, server, rounds=1)
    run = tmp_path / "run"
    process = started(file)
    wait_for(run / "round_1" / "solved" / "samples.jsonl", process)
    process.kill()  # the leader alone: its step goes on, and nobody may start it a second time
    process.communicate()
    busy = mull("self_improve", "--config", str(file), "--resume")
    if busy.returncode:
        assert busy.returncode == 2
        assert "a process is at work in it" in busy.stderr
    for _ in range(600):
        if (done := mull("self_improve", "--config", str(file), "--resume")).returncode != 2:
            break
        time.sleep(0.2)
    assert done.returncode == 0, done.stderr
    keys = [row["key"] for row in read_jsonl(run / "round_1" / "solved" / "samples.jsonl")]
    assert len(keys) == len(set(keys))
    assert [record.number for record in read_rounds(run)] == [0, 1]


@pytest.mark.recipe
def test_judge_that_never_answers_is_one_line(tmp_path: Path, unsure: Path) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        if str(body["messages"][-1]["content"]).startswith("Judge"):
            return 200, completion("I would rather not say.")
        return 200, completion(f"<problem>{question(len(started_server.bodies) + 600)}</problem>")

    with chat_server(answer) as started_server:
        done = mull("self_improve", "--config", str(recipe(tmp_path, unsure, started_server, rounds=1)))
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "check.judge: m judged none of " in line
    assert "what it wrote holds no score" in line
    assert (tmp_path / "run" / "round_1" / "solved" / "traces.jsonl").is_file()


@pytest.mark.recipe
def test_empty_round_says_what_became_of_all(tmp_path: Path, unsure: Path, server: ChatServer) -> None:
    family = {"source": "arithmetic", "seed": 3, "params": {"largest": 1000, "steps_min": 1, "steps_max": 1}}
    pose = {"by": "family", "problems": 6, "families": [family]}
    file = recipe(tmp_path, unsure, server, pose=pose, check={"by": "verifier"})
    done = mull("self_improve", "--config", str(file))
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (
        "round 1: nothing to train on, of what was posed: 6 hopeless; change pose, solve or keep, and --resume" in line
    )
    assert [one.fate for one in read_posed(tmp_path / "run" / "round_1")] == ["hopeless"] * 6
    assert steps(tmp_path / "run") == ["round 0, measure", "round 1, solve"]


@pytest.mark.recipe
def test_step_that_fails_says_so_in_one_line(tmp_path: Path, unsure: Path, server: ChatServer) -> None:
    train = {"adapter": None, "trainer": TRAINER | {"max_steps": 2}, "old": {"path": str(tmp_path / "old.jsonl")}}
    write_jsonl(tmp_path / "old.jsonl", [{"question": question(400) + " so" * 400, "thinking": "so", "reply": RIGHT}])
    file = recipe(tmp_path, unsure, server, train=train)
    done = mull("self_improve", "--config", str(file))
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: round 1, train: ")
    assert line.endswith("(go on with --resume)")


def test_seed_file_with_one_problem_is_refused_at_once(tmp_path: Path) -> None:
    with chat_server(lambda body: (500, {})) as server:
        file = recipe(tmp_path, tiny_model(tmp_path / "tiny"), server)
    write_jsonl(tmp_path / "seeds.jsonl", [{"question": question(100)}])
    with pytest.raises(DataError, match=r"pose\.seeds: 1 different seed problem for pose\.shots=2"):
        self_improve(str(file))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.trainer.max_step=3", r"round 1, train: trainer\.max_step: .*did you mean 'max_steps'"),
        ("solve.max_tokens=9999", r"round 1, solve: max_tokens: 9999 leaves no room"),
        ("check.by=verifier", r"check\.by: verifier needs problems of a family"),
        ("eval.sampling.temperature=0.0", r"round 1, measure: samples: 4 samples"),
        ("model.adpter=x", r"model\.adpter: unknown key; did you mean 'adapter'"),
    ],
)
def test_recipe_of_any_step_is_checked_first(tmp_path: Path, override: str, message: str) -> None:
    changes = [
        "pose.by=model",
        "pose.families=[]",
        "pose.seeds={source: arithmetic}",
        "check.by=agreement",
        "pose.max_tokens=96",
    ]
    with pytest.raises(ConfigError, match=message):
        self_improve("demo", [*changes, f"output_dir={tmp_path / 'run'}", override])
    assert not (tmp_path / "run").exists()
