"""Evaluations in an environment: the same turns as in training, or a word that there were none."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.recipe import validate
from configs.sample import read_samples
from configs.schema.evaluation import EvalConfig
from evaluation.acting import without_its_tools
from evaluation.evaluate import evaluate
from tests.tool_model import tool_model

PATH = "rl.calculator:Calculator"


def recipe(name: Path | str, folder: Path, **sections: Any) -> EvalConfig:
    values = {
        "model": {"name": str(name), "precision": "fp32", "max_length": 1024},
        "engine": {"name": "transformers"},
        "think_format": "none",
        "data": {"source": "arithmetic", "limit": 4},
        "budgets": [{"max_answer": 48}],
        "sampling": {"temperature": 1.0},
        "samples": 3,
        "output_dir": str(folder / "run"),
    }
    config: EvalConfig = validate("eval", values | sections, "test.yaml")
    return config


@pytest.mark.engine
def test_samples_act(tmp_path: Path) -> None:
    model = tool_model(tmp_path / "model")
    config = recipe(model, tmp_path, environment=PATH, max_turns=2)
    evaluate(config)
    samples = read_samples(tmp_path / "run" / "samples.jsonl")
    assert len(samples) == 12
    assert any(sample.tool_results for sample in samples)
    for sample in samples:
        assert sample.answer in sample.text[sample.turn_start :]
        assert all(range_ in sample.forced for range_ in sample.tool_results)
    before = (tmp_path / "run" / "samples.jsonl").read_bytes()
    evaluate(config, resume=True)
    assert (tmp_path / "run" / "samples.jsonl").read_bytes() == before
    evaluate(recipe(model, tmp_path / "again", environment=PATH, max_turns=2))
    again = read_samples(tmp_path / "again" / "run" / "samples.jsonl")
    assert sorted(one.text for one in again) == sorted(one.text for one in samples)


def test_missing_tools_are_told(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps({"rollout": {"environment": PATH}}), encoding="utf-8")
    model = {"name": "smollm2-135m", "adapter": str(tmp_path / "adapter")}
    [said] = without_its_tools(recipe("", tmp_path, model=model))
    assert said == f"the model was trained in the environment {PATH}, and is measured in none: set environment"
    assert without_its_tools(recipe("", tmp_path, model=model, environment=PATH)) == []
    assert without_its_tools(recipe("", tmp_path, model={"name": "smollm2-135m"})) == []


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"max_turns": 2}, "max_turns: there is no environment"),
        ({"environment": PATH, "think_format": "xml"}, "environment: tool calls are read by the chat template"),
        ({"environment": PATH, "answers": "mine.jsonl"}, "environment: probes and answers of another tool have none"),
    ],
)
def test_impossible_recipe_is_refused(tmp_path: Path, sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe("", tmp_path, **sections)
