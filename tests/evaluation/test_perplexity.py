"""Perplexity of gold replies, against Transformers' own loss."""

import json
import math
from pathlib import Path

import pytest
import torch

from configs.errors import ConfigError, EngineError
from configs.recipe import load_recipe
from configs.run_directory import read_jsonl, write_jsonl
from configs.sample import Sample
from data.problem import Problem
from data.prompts import render_problem, turn_end
from data.think_format import NONE
from evaluation import evaluate
from evaluation.perplexity import measure_gold_replies, perplexity_metric
from models.engines.transformers import TransformersEngine
from models.load import load_model
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine

PROBLEMS = [Problem(f"p{at}", f"term {at}?", "a gold reply" * (at + 1), "test", grader="text") for at in range(10)]


def test_is_the_loss_of_the_reply(tmp_path: Path) -> None:
    loaded = load_model(str(tiny_model(tmp_path / "tiny")))
    engine = TransformersEngine(loaded.model, loaded.tokenizer, NONE, 256)
    measure_gold_replies(engine, PROBLEMS, tmp_path / "gold.jsonl")
    rows = list(read_jsonl(tmp_path / "gold.jsonl"))
    for problem, row in zip(PROBLEMS, rows, strict=True):
        prompt = loaded.tokenizer.encode(render_problem(loaded.tokenizer, problem, NONE), add_special_tokens=False)
        reply = loaded.tokenizer.encode(problem.answer + turn_end(loaded.tokenizer), add_special_tokens=False)
        ids, labels = torch.tensor([prompt + reply]), torch.tensor([[-100] * len(prompt) + reply])
        with torch.no_grad():
            loss = loaded.model(input_ids=ids, labels=labels).loss.item()
        assert row["tokens"] == len(reply)
        assert -row["logprob"] / row["tokens"] == pytest.approx(loss, rel=2e-3)

    with pytest.raises(EngineError, match=r"problem p2: .* 63 tokens, over the context of 60"):
        measure_gold_replies(TransformersEngine(loaded.model, loaded.tokenizer, NONE, 60), PROBLEMS, tmp_path / "x")


def test_command_compares_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(tmp_path / "p.jsonl", [{"id": p.id, "question": p.question, "answer": p.answer} for p in PROBLEMS])
    models = [str(tiny_model(tmp_path / name)) for name in ("one", "two")]
    results = []
    for at, model in enumerate(models):
        overrides = [
            f"model={{name: {model}, max_length: 256}}", "think_format=none", "metrics=[perplexity]",
            f"data={{path: {tmp_path / 'p.jsonl'}, grader: text}}", "budgets=[{max_answer: 4}]",
            f"output_dir={tmp_path / str(at)}",
        ]  # fmt: skip
        results.append(evaluate.evaluate("demo", overrides, compare=str(tmp_path / "0") if at else None))
    assert results[1] is not None
    figure = results[1]["points"][0]["metrics"]["perplexity"]
    rows = list(read_jsonl(tmp_path / "1" / "gold_logprobs.jsonl"))
    assert figure["value"] == pytest.approx(
        math.exp(-sum(row["logprob"] for row in rows) / sum(row["tokens"] for row in rows))
    )
    assert figure["low"] <= figure["value"] <= figure["high"]
    [row] = [row for row in results[1]["comparison"]["points"][0]["rows"] if row["name"] == "perplexity"]
    assert row["after"] == pytest.approx(figure["value"])
    assert not row["is_share"]
    files = (list(read_jsonl(tmp_path / name / "gold_logprobs.jsonl")) for name in ("0", "1"))
    assert row["better"] == sum(late["logprob"] > early["logprob"] for early, late in zip(*files, strict=True))
    assert "perplexity" in capsys.readouterr().out
    assert "%" not in json.dumps(row)


def test_needs_a_reply_right_after_the_prompt() -> None:
    with pytest.raises(ConfigError, match="set think_format=none"):
        load_recipe("eval", "demo", ["metrics=[perplexity]"])


def test_two_points_of_one_run(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "gold_logprobs.jsonl", [{"id": "p", "logprob": -6.0, "tokens": 3}])
    points = [[Sample(id="p", point=label, key=label)] for label in ("short", "long")]
    metric = perplexity_metric([(tmp_path, samples) for samples in points])
    figures_of = [metric.value(metric.statistics(samples).sum(axis=0)) for samples in points]
    assert figures_of == pytest.approx([math.exp(2)] * 2)
