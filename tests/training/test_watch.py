"""A watched training: when it measures, which weights it keeps, when it stops, and that nothing is lost by a kill."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from configs.recipe import validate
from configs.run_directory import read_jsonl, write_jsonl
from configs.sample import read_samples
from configs.schema.sft import SftConfig
from rl import run as rl_run
from rl.grpo import train_grpo
from sft.train import train_sft
from tests.rl.test_processes import launch
from tests.tiny import tiny_model
from tests.training.collapsing import Collapsing
from training.heldout import figures_of, samples_on
from training.sigterm import STOPPED

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).parents[2]
LONG = ("trainer.max_steps=16", "trainer.save_steps=4", "eval.patience=2")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and problems whose answers are the nearer to right the more letters are an "a"."""
    folder = tmp_path_factory.mktemp("base")
    tiny_model(folder / "model")
    for name, first, count in (("train", 0, 24), ("held", 100, 8)):
        rows = [{"question": f"{i}?", "answer": "aaaaaaaa"} for i in range(first, first + count)]
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


def collapsing(base: Path, out: Path, *more: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """The run of `whole`, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.training.collapsing", "--config=demo", *overrides(base, out, *LONG, *more)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
    )


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose policy collapses after step 8, so that it stops for want of patience; nothing interrupts it."""
    out = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rl_run, "RunCallback", Collapsing)
        train_grpo("demo", overrides(base, out, *LONG))
    return out


def weights(folder: Path) -> dict[str, Any]:
    file = next(file for file in ("adapter_model.safetensors", "model.safetensors") if (folder / file).is_file())
    return dict(load_file(folder / file))


def assert_equal(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert mine.keys() == theirs.keys()
    assert [name for name, value in mine.items() if not value.equal(theirs[name])] == []


def measured(out: Path, figure: str = "avg_at_k") -> dict[int, float]:
    """Step → a figure that `metrics.jsonl` has of it."""
    rows = list(read_jsonl(out / "metrics.jsonl"))
    return {row["step"]: row[f"eval_{figure}"] for row in rows if f"eval_{figure}" in row}


def summary(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "summary.json").read_text("utf-8")))


def best_of(points: dict[int, float]) -> int:
    """The earliest of the highest."""
    return max(points, key=lambda step: (points[step], -step))


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
    at_best, at_end = (weights(out / "checkpoints" / f"checkpoint-{step}") for step in (best, 16))
    assert_equal(weights(out / "adapter"), at_best)
    assert any(not value.equal(at_best[name]) for name, value in at_end.items())
    assert summary(out)["best_avg_at_k"]["value"] == points[best]
    after = samples_on(read_samples(out / "heldout_after.jsonl"), 2, slice(6))
    assert figures_of(after, 2)["avg_at_k"]["value"] == pytest.approx(points[best])
    assert f"at step {best} of 16: these weights are saved; the figure is optimistic" in capsys.readouterr().out


def test_unwatched_problems_are_told_apart(whole: Path) -> None:
    figures = summary(whole)
    assert (figures["watched"], figures["best_avg_at_k"]["n"], figures["avg_at_k_unwatched"]["n"]) == (6, 6, 2)
    others = samples_on(read_samples(whole / "heldout_after.jsonl"), 2, slice(6, None))
    assert len(others) == 2 * (1 + 2)
    assert figures_of(others, 2)["avg_at_k"] == figures["avg_at_k_unwatched"]
    assert figures["avg_at_k_unwatched_change"]["n"] == 2
    page = (whole / "report.html").read_text("utf-8")
    assert page.index("Best step, whose weights are saved") < page.index("avg@k at the training temperature")
    assert "on the 6 watched problems that chose it: optimistic" in page
    assert "Held-out problems while training; dashed: the best step" in page


def test_patience_ends_the_run(whole: Path) -> None:
    points = measured(whole)
    best, last = best_of(points), max(points)
    assert last == best + 2 * 2 < 16
    assert max(row["step"] for row in read_jsonl(whole / "metrics.jsonl")) == last
    assert summary(whole)["best_step"] == best


def test_measuring_is_a_time_apart(whole: Path) -> None:
    rows = {row["step"]: row for row in read_jsonl(whole / "metrics.jsonl")}
    assert "measure_seconds" not in rows[0]  # measured before training
    assert "step_seconds" not in rows[0]
    assert {step for step, row in rows.items() if "measure_seconds" in row} == set(measured(whole)) - {0}
    assert all(row["step_seconds"] > 0 for step, row in rows.items() if step)


def test_memory_is_the_most_so_far(whole: Path) -> None:
    found = [row["peak_memory"] for row in read_jsonl(whole / "metrics.jsonl") if "loss" in row]
    assert found == sorted(found)
    assert 0.1 < found[0] < 100  # GiB


def test_trackers_get_the_figures(base: Path, tmp_path: Path) -> None:
    """What `log_history` has is what the library hands to every tracker."""
    out = tmp_path / "out"
    train_grpo("demo", overrides(base, out, "trainer.max_steps=3", "trainer.logging_steps=5"))
    state = json.loads((out / "checkpoints" / "checkpoint-3" / "trainer_state.json").read_text("utf-8"))
    tracked = {row["step"]: row for row in state["log_history"] if "eval_greedy" in row}
    assert list(tracked) == [0, 2, 3]
    assert tracked[3].keys() >= {"loss", "reward", "measure_seconds", "eval_avg_at_k_low", "eval_avg_at_k_high"}


def test_watching_leaves_the_training_alone(base: Path, tmp_path: Path) -> None:
    for name, more in (("watched", ()), ("alone", ("eval.every=0", "eval.watched=null"))):
        train_grpo("demo", overrides(base, tmp_path / name, *more))
    for step in (2, 4, 6):
        mine, theirs = (
            weights(tmp_path / name / "checkpoints" / f"checkpoint-{step}") for name in ("watched", "alone")
        )
        assert_equal(mine, theirs)


def test_no_gain_keeps_what_it_started_from(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    never = f"eval.data={{path: {base / 'held.jsonl'}, grader: math}}"
    train_grpo("demo", overrides(base, out, never, "eval.patience=2", "eval.metric=greedy"))
    said = capsys.readouterr().out
    assert "stopped after step 4: 2 measurements without a better one" in said
    assert (
        "training did not help: no measurement reached more than the one before it; the adapter that is saved" in said
    )
    assert (summary(out)["best_step"], summary(out)["best_greedy"]["value"]) == (0, 0.0)
    assert all(not value.any() for name, value in weights(out / "adapter").items() if "lora_B" in name)
    assert "Training did not help" in (out / "report.html").read_text("utf-8")


def assert_same_run(mine: Path, whole: Path) -> None:
    assert measured(mine) == pytest.approx(measured(whole))
    assert_equal(weights(mine / "adapter"), weights(whole / "adapter"))
    figures = ("best_step", "best_avg_at_k", "avg_at_k_unwatched")
    assert [summary(mine)[name] for name in figures] == [summary(whole)[name] for name in figures]


@pytest.mark.parametrize("kill", [{"MULL_TEST_KILL": "7"}, {"MULL_TEST_KILL_SAVING": "8"}, {"MULL_TEST_KILL": "12"}])
def test_killed_run_keeps_its_best(base: Path, whole: Path, tmp_path: Path, kill: dict[str, str]) -> None:
    """In a step, between measuring and saving, and after the collapse with patience half spent."""
    out = tmp_path / "out"
    assert collapsing(base, out, **kill).returncode == -9
    done = collapsing(base, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same_run(out, whole)


@pytest.mark.parametrize("step", ["8", "11"])
def test_sigterm_keeps_the_best(base: Path, whole: Path, tmp_path: Path, step: str) -> None:
    """In a step that is measured, too: it is saved first, and measured when the run goes on."""
    out = tmp_path / "out"
    assert collapsing(base, out, MULL_TEST_TERM=step).returncode == STOPPED
    assert (int(step) in measured(out)) is False
    done = collapsing(base, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same_run(out, whole)


def test_stopped_run_is_finished_from_its_last_checkpoint(base: Path, whole: Path, tmp_path: Path) -> None:
    """As if it had been killed while it saved its product: nothing is trained again."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    shutil.rmtree(out / "adapter")
    done = collapsing(base, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same_run(out, whole)


def test_lost_best_weights_are_told(base: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    for folder in (out / "checkpoints").glob("best-*"):
        shutil.rmtree(folder)
    done = collapsing(base, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert "the best weights so far, is gone" in done.stdout


def test_figures_of_another_metric_are_not_compared(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    train_grpo("demo", overrides(base, out, "trainer.max_steps=2", "eval.every=0", "eval.watched=null"))
    for steps, metric in ((4, "avg_at_k"), (6, "greedy")):
        train_grpo("demo", overrides(base, out, f"trainer.max_steps={steps}", f"eval.metric={metric}"), resume=True)
        assert summary(out)["best_step"] in (steps - 2, steps)
        assert ("another metric or other problems" in capsys.readouterr().out) is (metric == "greedy")
    assert list(measured(out)) == [2, 4, 6]


def test_two_processes_are_watched(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    more = ("trainer.per_device_train_batch_size=8", "trainer.max_steps=4", "eval.patience=9")
    launch(2, "rl.grpo", "--config=demo", *overrides(base, out, *more))
    points = measured(out)
    assert list(points) == [0, 2, 4]
    best = summary(out)["best_step"]
    assert best == best_of(points)
    assert_equal(weights(out / "adapter"), weights(out / "checkpoints" / f"best-{best}"))


SFT: dict[str, dict[str, Any]] = {
    "lora": {"adapter": {"r": 4}},
    "packed": {"adapter": {"r": 4}, "trainer": {"packing": True}},
    "full": {"adapter": None},
    "prefix": {"adapter": {"type": "p_tuning", "virtual_tokens": 4}},
    "adalora": {"adapter": {"type": "adalora", "init_r": 6, "target_r": 3, "tinit": 1, "tfinal": 2}},
}


@pytest.mark.parametrize("kind", SFT)
def test_sft_keeps_the_best_weights(base: Path, tmp_path: Path, kind: str) -> None:
    changes = dict(SFT[kind])
    trainer = {
        "max_steps": 12, "per_device_train_batch_size": 8, "learning_rate": 0.02, "save_strategy": "steps",
        "save_steps": 1, "save_total_limit": None,
    }  # fmt: skip
    held_out = {"data": {"path": str(base / "held.jsonl"), "grader": "chrf"}, "k": 1, "max_tokens": 8, "every": 3}
    values = {
        "model": {"name": str(base / "model"), "precision": "fp32", "max_length": 128},
        "data": {"path": str(base / "train.jsonl"), "grader": "chrf"},
        "eval": held_out,
        "output_dir": str(tmp_path / "out"),
        "trainer": {**trainer, **changes.pop("trainer", {})},
        **changes,
    }
    recipe: SftConfig = validate("sft", values, "test.yaml")
    train_sft(recipe)
    out = tmp_path / "out"
    points, best = measured(out), summary(out)["best_step"]
    assert list(points) == [0, 3, 6, 9, 12]
    if kind == "prefix":  # what was measured before training is the base model, which no adapter is
        del points[0]
    assert best == best_of(points)
    product = out / ("model" if kind == "full" else "adapter")
    assert_equal(weights(product), weights(out / "checkpoints" / f"checkpoint-{best}" if best else product))
    after = summary(out)["avg_at_k_after"]["value"]
    assert after == pytest.approx(points[best])
