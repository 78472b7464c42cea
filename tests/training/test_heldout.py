"""Held-out accuracy: paired seeds, samples kept, changes with their interval."""

from pathlib import Path

import pytest

import configs
from configs.errors import DataError
from configs.run_directory import RunDir, append_jsonl, read_jsonl
from configs.schema.sections import ModelConfig, SamplingConfig
from configs.schema.training import HeldOutConfig
from data.problem import Problem
from data.think_format import S1
from models.engines.base import Engine
from models.engines.transformers import TransformersEngine
from models.load import load_model
from tests.tiny import tiny_model
from training.heldout import Measure, changes, check, measure

PROBLEMS = [Problem(f"p{i}", f"{i} + 1?", str(i + 1), "test") for i in range(5)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    loaded = load_model(ModelConfig(name=str(tiny_model(tmp_path_factory.mktemp("tiny"))), precision="fp32"))
    return TransformersEngine(loaded.model, loaded.tokenizer, S1, 256, 8)


def test_the_same_seed_measures_the_same(engine: Engine) -> None:
    config = HeldOutConfig(k=3, max_tokens=8)
    figures, rows = measure(engine, PROBLEMS, config, SamplingConfig(), seed=5)
    assert (figures, rows) == measure(engine, PROBLEMS, config, SamplingConfig(), seed=5)
    assert rows != measure(engine, PROBLEMS, config, SamplingConfig(), seed=6)[1]
    assert len(rows) == 5 * (1 + 3)
    assert [row["id"] for row in rows if row["sample"] is None] == [p.id for p in PROBLEMS]
    assert figures["greedy"]["n"] == figures["avg_at_k"]["n"] == 5
    assert figures["avg_at_k"]["k"] == 3
    assert all(row["text"].startswith(S1.prefill) for row in rows)


def test_a_problem_that_does_not_fit_is_named_before_anything_is_measured(engine: Engine) -> None:
    config = configs.load("grpo", "demo", ["eval.max_tokens=250"])
    with pytest.raises(
        DataError, match=r"5 of 5 prompts don't fit: problem p\d has \d+ tokens, with eval.max_tokens=250"
    ):
        check(config, PROBLEMS, engine.tokenizer, S1)
    check(configs.load("grpo", "demo", ["eval.max_tokens=250", "eval.when=[]"]), PROBLEMS, engine.tokenizer, S1)
    check(configs.load("grpo", "demo"), PROBLEMS, engine.tokenizer, S1)


def test_changes_are_paired_by_problem(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for when, right in (("before", {0, 1}), ("after", {0, 1, 2, 3})):
        rows = [
            {
                "id": f"p{i}",
                "question": f"{i}?",
                "sample": sample,
                "correct": i in right if sample is None else (None if i > 7 else i in right),
            }
            for i in (range(10) if when == "before" else reversed(range(10)))  # the order of the files doesn't matter
            for sample in (None, 0, 1)
        ]
        append_jsonl(run / f"heldout_{when}.jsonl", *rows)
    found = changes(run)
    assert found["greedy_change"].value == pytest.approx(0.2)
    assert found["avg_at_k_change"].value == pytest.approx(0.2)
    assert found["greedy_change"].n == 10
    assert found["greedy_change"].low >= 0  # nobody got worse
    assert len(list(read_jsonl(run / "heldout_after.jsonl"))) == 30


def test_changes_leave_out_what_was_measured_only_once(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for when, numbers, other in (("before", range(6), "?"), ("after", range(3, 9), "!")):
        rows = [
            {"id": f"p{i}", "question": f"{i}{'?' if i < 5 else other}", "sample": sample, "correct": when == "after"}
            for i in numbers
            for sample in (None, 0)
        ]
        append_jsonl(run / f"heldout_{when}.jsonl", *rows)
    found = changes(run)  # p3 and p4: p5 asks something else the second time
    assert (found["greedy_change"].value, found["greedy_change"].n) == (1.0, 2)
    assert found["avg_at_k_change"].n == 2


def test_a_run_resumed_with_other_problems_says_that_nothing_is_paired(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configs.load("grpo", "demo", ["eval.max_tokens=8", "eval.k=1"])
    run = RunDir(tmp_path)
    Measure(run, engine, config, PROBLEMS[:2])("before")
    Measure(run, engine, config, PROBLEMS[2:])("after")
    assert "paired change: none, no problem was measured both before and after" in capsys.readouterr().out
    assert {"greedy_before", "greedy_after"} <= run.summary().keys()
    assert "greedy_change" not in run.summary()
