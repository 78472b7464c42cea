"""Curation as a whole: every row is accounted for, a seed gives the same set, and an interrupted run goes on."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError
from configs.recipe import validate
from configs.rundir import RunDir
from configs.schema import CurateConfig
from data import curate as command
from data import difficulty as difficulty_module
from data import filters
from data.arithmetic import generate
from data.difficulty import difficulty
from data.formats import read
from data.table import open_table, write_table

QUESTIONS = [problem.question for problem in generate(60, 0)]


def source(tmp_path: Path) -> Path:
    """60 clean rows, and of each kind of bad ones a few."""
    rows: list[Any] = [
        {"question": text, "thinking": "t" * (i + 1), "reply": str(i), "answer": str(i), "domain": "ab"[i % 2]}
        for i, text in enumerate(QUESTIONS)
    ]
    rows += [
        {**rows[3], "question": rows[3]["question"].upper()},
        {**rows[4], "reply": "I'm sorry, but I can't do it."},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "oops\n")
    return path


def config(tmp_path: Path, **changes: Any) -> CurateConfig:
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text("".join(json.dumps({"question": q, "answer": "1"}) + "\n" for q in QUESTIONS[10:15]))
    values = {
        "sources": [{"path": str(source(tmp_path))}],
        "bad_rows": "skip",
        "decontaminate": {"benchmarks": [{"source": "file", "path": str(benchmark)}]},
        "output_dir": str(tmp_path / "out"),
        **changes,
    }
    checked: CurateConfig = validate("curate", values, "test")
    return checked


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_row_is_kept_or_accounted_for(tmp_path: Path) -> None:
    command.curate(config(tmp_path, n=20), RunDir(tmp_path / "out"))
    out = tmp_path / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    assert [(s["name"], s["in"], s["removed"]) for s in manifest["stages"]] == [
        ("quality", 62, 1),
        ("near_duplicates", 61, 1),
        ("decontaminate", 60, 5),
        ("select", 55, 35),
    ]
    assert manifest["inputs"][0] | {"rows": 62, "rejected": 1} == manifest["inputs"][0]
    assert [row["line"] for row in lines(out / "rejected.jsonl")] == [63]
    removed = lines(out / "removed.jsonl")
    kept = list(read(out / "train.jsonl"))
    assert len(kept) == 20 == manifest["outputs"]["train.jsonl"]["rows"]
    assert len(removed) + len(kept) == 62
    assert {row["id"] for row in removed} & {trace.id for trace in kept} == set()
    match = next(row["match"] for row in removed if row["stage"] == "decontaminate")
    assert match["question"] in QUESTIONS[10:15]
    assert match["score"] > 0.9
    assert Counter(trace.metadata["domain"] for trace in kept)["a"] in range(4, 17)
    report = (out / "report.html").read_text()
    assert all(text in report for text in ("near-duplicate", "contaminated by file", "rejected", "failed API text"))
    assert not (out / "stages").exists()


def test_a_seed_gives_the_same_set_again(tmp_path: Path) -> None:
    files = []
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        made = config(tmp_path, n=20, seed=seed, output_dir=str(tmp_path / name), splits={"train": 3, "test": 1})
        command.curate(made, RunDir(tmp_path / name))
        files.append([(tmp_path / name / f"{split}.jsonl").read_bytes() for split in ("train", "test")])
    assert files[0] == files[1] != files[2]
    assert len(files[0][1].splitlines()) == 5


def test_a_bad_row_stops_the_run_unless_told_otherwise(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:63: not JSON"):
        command.curate(config(tmp_path, bad_rows="stop"), RunDir(tmp_path / "out"))


def test_an_interrupted_run_goes_on_after_its_last_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(tmp_path, n=20)
    whole = config(tmp_path, n=20, output_dir=str(tmp_path / "whole"))
    command.curate(whole, RunDir(tmp_path / "whole"))

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(filters, "contamination", killed)
        with pytest.raises(KeyboardInterrupt):
            command.curate(made, RunDir(tmp_path / "out"))
    with monkeypatch.context() as patch:
        patch.setattr(filters, "duplicates", killed)  # done before, so it must not run again
        command.curate(made, RunDir(tmp_path / "out"), resume=True)
    for name in ("train.jsonl", "removed.jsonl", "rejected.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_sources_are_mixed_in_proportion(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps({"question": p.question, "answer": "1"}) + "\n" for p in generate(40, 1)))
    sources = [{"path": str(source(tmp_path)), "share": 1}, {"path": str(other), "share": 1}]
    command.curate(config(tmp_path, sources=sources), RunDir(tmp_path / "out"))
    assert Counter(t.source for t in read(tmp_path / "out" / "train.jsonl")) == {"rows.jsonl": 40, "other.jsonl": 40}


def test_a_source_gives_no_more_than_its_cap(tmp_path: Path) -> None:
    sources = [
        {"path": str(source(tmp_path)), "cap": 7},
        {"problems": {"source": "arithmetic", "limit": 20, "seed": 5}},
    ]
    command.curate(config(tmp_path, sources=sources), RunDir(tmp_path / "out"))
    assert Counter(t.source for t in read(tmp_path / "out" / "train.jsonl")) == {"rows.jsonl": 7, "arithmetic": 20}


def test_what_models_solve_too_often_goes_and_nobody_is_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(tmp_path / "rows.arrow", read(source(tmp_path), rejected=lambda _: None))
    table = open_table(tmp_path / "rows.arrow")
    made = config(tmp_path, difficulty={"models": [{"name": "m"}], "max_pass_rate": 0.5})
    assert made.difficulty is not None
    asked: list[str] = []

    def answers(_: Any, __: Any, questions: Any, golds: Any) -> Any:
        for question, gold in zip(questions, golds, strict=True):
            asked.append(question)
            yield [None, None] if gold == "5" else [True, gold not in ("1", "2")]

    removals = difficulty(table, range(10), made.difficulty, answers, tmp_path / "partial.jsonl")
    assert {row: removal.match["pass_rate"] for row, removal in removals.items()} == dict.fromkeys(
        {0, 3, 4, 6, 7, 8, 9}, 1.0
    )
    assert difficulty(table, range(10), made.difficulty, answers, tmp_path / "partial.jsonl") == removals
    assert len(asked) == 10
    assert difficulty_module.pass_rate([None, True, False]) == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": []}, "sources"),
        ({"sources": [{"path": "a", "problems": {"source": "gsm8k"}}]}, "a file or problems"),
        ({"sources": [{"path": "a"}], "diversity": {"shape": {"source": "math500"}}}, "needs diversity.clusters"),
        ({"sources": [{"path": "a"}], "near_duplicate": 0.5}, "did you mean 'near_duplicates'"),
    ],
)
def test_an_impossible_recipe_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate("curate", changes, "test.yaml")


@pytest.mark.engine
def test_an_engine_answers_and_what_it_gets_right_is_too_easy(tmp_path: Path) -> None:
    rows = [
        {"question": "What is 2 + 2?", "reply": "4", "answer": "4"},
        {"question": "What is 3 + 3?", "reply": "-77", "answer": "-77"},
    ]
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {"name": "smollm2-135m", "precision": "fp32", "max_length": 256}
    difficulty = {"models": [model], "sampling": {"temperature": 0.0}, "max_tokens": 32}
    made = config(tmp_path, sources=[{"path": str(path)}], difficulty=difficulty)
    command.curate(made, RunDir(tmp_path / "out"))
    assert [trace.question for trace in read(tmp_path / "out" / "train.jsonl")] == ["What is 3 + 3?"]
    removed = lines(tmp_path / "out" / "removed.jsonl")
    assert [(row["reason"], row["match"]) for row in removed] == [("too easy", {"pass_rate": 1.0})]


@pytest.mark.recipe
def test_the_demo_recipe_runs(tmp_path: Path) -> None:
    arguments = ["--config", "demo.yaml", f"output_dir={tmp_path / 'out'}", "n=50", "sources.0.problems.limit=200"]
    done = subprocess.run(
        [sys.executable, "-m", "data.curate", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out" / "train.jsonl").read_text().splitlines()) == 45
    again = subprocess.run(
        [sys.executable, "-m", "data.curate", *arguments], capture_output=True, text=True, check=False
    )
    assert again.returncode == 2
    assert "is in use" in again.stderr
