"""A watched training: when it measures, which weights it keeps, when it stops, and that nothing is lost by a kill."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from configs.errors import ConfigError, DataError
from configs.recipe import load_recipe
from configs.run_directory import RunDir, read_jsonl, write_jsonl
from configs.sample import read_samples
from rl import run as rl_run
from rl.grpo import train_grpo
from sft.train import train_sft
from tests.rl.test_processes import launch
from tests.tiny import tiny_model
from training.heldout import Measure, figures_of, samples_on
from training.run_callback import RunCallback
from training.sigterm import STOPPED
from training.watch import Found, check_watched

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).parents[2]
GOLD = "aaaaaaaa"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and problems whose answers are right by how many letters are an "a"."""
    folder = tmp_path_factory.mktemp("base")
    tiny_model(folder / "model")
    for name, first, count in (("train", 0, 24), ("held", 100, 8)):
        rows = [{"question": f"{i}?", "answer": GOLD} for i in range(first, first + count)]
        write_jsonl(folder / f"{name}.jsonl", rows)
    return folder


def overrides(base: Path, out: Path, *more: str) -> list[str]:
    """Six steps of GRPO towards more letters "a", watched every two."""
    data = "{path: %s, grader: chrf}"
    return [
        f"output_dir={out}", f"model.name={base / 'model'}", "model.precision=fp32", "think_format=none",
        f"data={data % (base / 'train.jsonl')}",
        f"eval={{data: {data % (base / 'held.jsonl')}, k: 2, max_tokens: 8, every: 2, watched: 6}}",
        "rewards=[{name: 'tests.rl.plugins:letters'}]", "trainer.max_steps=6", "trainer.save_steps=2",
        "trainer.learning_rate=0.1", "trainer.lr_scheduler_type=constant", "trainer.per_device_train_batch_size=16",
        "trainer.gradient_accumulation_steps=1", "trainer.max_completion_length=8", *more,
    ]  # fmt: skip


def weights(folder: Path) -> dict[str, Any]:
    return dict(load_file(folder / "adapter_model.safetensors"))


def assert_equal(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert mine.keys() == theirs.keys()
    assert all(value.equal(theirs[name]) for name, value in mine.items())


def measured(out: Path) -> dict[int, float]:
    """Step → avg@k, as `metrics.jsonl` has it."""
    return {row["step"]: row["eval_avg_at_k"] for row in read_jsonl(out / "metrics.jsonl") if "eval_avg_at_k" in row}


def summary(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "summary.json").read_text("utf-8")))


def best_of(points: dict[int, float]) -> int:
    """The earliest of the highest."""
    return max(points, key=lambda step: (points[step], -step))


class Collapsing(RunCallback):
    """The learning rate times 20 after the step `AFTER`, for what a policy collapse does."""

    AFTER = 8

    def on_step_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        super().on_step_begin(args, state, control)
        if state.global_step >= self.AFTER:
            for group in optimizer.param_groups:
                group["lr"] *= 20


def test_collapsed_run_ends_with_the_best_adapter(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rl_run, "RunCallback", Collapsing)
    out = tmp_path / "out"
    train_grpo("demo", overrides(base, out, "trainer.max_steps=16", "trainer.save_steps=1"))
    points, best = measured(out), summary(out)["best_step"]
    assert list(points) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert best == best_of(points)
    assert 0 < best < 16
    assert points[16] < points[best] / 2
    at_best = weights(out / "checkpoints" / f"checkpoint-{best}")
    assert_equal(weights(out / "adapter"), at_best)
    assert any(not value.equal(at_best[name]) for name, value in weights(out / "checkpoints" / "checkpoint-16").items())
    assert summary(out)["best_avg_at_k"]["value"] == points[best]
    after = samples_on(read_samples(out / "heldout_after.jsonl"), 2, slice(6))
    assert figures_of(after, 2)["avg_at_k"]["value"] == pytest.approx(points[best])
    assert f"at step {best} of 16: these weights are saved; the figure is optimistic" in capsys.readouterr().out
