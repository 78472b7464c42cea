"""lm-evaluation-harness's client against `mull serve`, beside our own evaluation of the same run."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.harness import agreement, evaluated, served
from budget_forcing.budget import Budget
from configs.sample import Sample
from tests.tiny_run import tiny_run
from tests.vllm_env import free_port, serving
from training.finished_run import open_run


def test_agreement_tells_extraction_from_text() -> None:
    """One text, two readings: the harness takes the last number, ours the one that is stated."""
    texts = {"a": "It is 18.", "b": "It is 18, which is 3 times 6.", "c": "It is 7."}
    samples = [Sample(id, answer=text, extracted="18", gold="18", score=float(id != "c")) for id, text in texts.items()]
    theirs = {
        "a": ("It is 18.", "18", True, False),
        "b": (texts["b"], "6", False, False),
        "c": ("It is 8.\n", "8", False, False),
    }
    found = agreement(samples, theirs)
    assert (found["same_text"], found["same_verdict"]) == (2 / 3, 2 / 3)
    assert (found["ours"], found["flexible"], found["strict"]) == (2 / 3, 1 / 3, 0.0)
    assert [(one["id"], one["same_text"], one["flexible"]) for one in found["differ"]] == [("b", True, ["6", False])]


@pytest.mark.engine
@pytest.mark.skipif("MULL_DATA" not in os.environ, reason="needs MULL_DATA/gsm8k")
def test_client_agrees_with_our_evaluation(embedded: Path, tmp_path: Path) -> None:
    """20 problems of GSM8K: a verdict differs only where the text does, or what was taken from it."""
    pytest.importorskip("vllm")
    pytest.importorskip("lm_eval")
    model = {"name": str(embedded), "max_length": 512, "precision": "fp32"}
    run = tiny_run(tmp_path / "run", embedded, strength=0.01, model=model)
    port = free_port()
    words = [sys.executable, "-m", "serving.serve", str(run), "--port", str(port), "--", "--enforce-eager"]
    budget = Budget(max_thinking=24, max_answer=32)
    with serving(words, port, tmp_path / "log"):
        theirs = served(open_run(run), f"http://127.0.0.1:{port}/v1", 20, budget)
    found = agreement(evaluated(open_run(run), 20, budget), theirs)
    assert found["problems"] == 20
    assert found["same_text"] >= 0.9  # two engines' additions may tip a greedy choice
    for one in found["differ"]:
        assert not one["same_text"] or one["ours"][0] != one["flexible"][0]
    assert found["same_verdict"] >= 0.9
