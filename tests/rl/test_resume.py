"""Staying alive: a run that was killed goes on as if it had not been; one that was asked to stop saves first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from configs.run_directory import read_jsonl
from tests.tiny import tiny_model
from tests.tiny_run import tiny_run
from training.sigterm import STOPPED

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).parents[2]


def command(folder: Path, model: Path, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Six steps of a tiny model with everything that a checkpoint has to hold, curriculum and resampling included."""
    arguments = [
        "--config=demo.yaml", f"output_dir={folder}", f"model.name={model}", "model.precision=fp32", "eval=null",
        "data.limit=40", "rewards.0.name=tests.rl.plugins:parity", "rollout.curriculum=true", "rollout.resamples=1",
        "rollout.check_every=3", "trainer.max_steps=6", "trainer.save_steps=2", "trainer.learning_rate=1e-2",
        "trainer.per_device_train_batch_size=4", "trainer.gradient_accumulation_steps=2",
        "trainer.max_completion_length=8", *more,
    ]  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "rl.grpo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
    )


def weights(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return found


def rewards(folder: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["reward"]) for row in read_jsonl(folder / "metrics.jsonl")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    tiny_model(folder / "model")
    done = command(folder / "run", folder / "model")
    assert done.returncode == 0, done.stderr
    return folder


def assert_same(mine: Path, whole: Path) -> None:
    assert [step for step, _ in rewards(mine)] == [1, 2, 3, 4, 5, 6]
    assert dict(rewards(mine)) == pytest.approx(dict(rewards(whole)))
    assert [(r["step"], r["text"]) for r in read_jsonl(mine / "rollouts.jsonl")] == [
        (r["step"], r["text"]) for r in read_jsonl(whole / "rollouts.jsonl")
    ]
    expected = weights(whole)
    assert any(value.abs().max() > 1e-3 for name, value in expected.items() if "lora_B" in name)
    for name, value in weights(mine).items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("step", ["4", "6"])
def test_killed_run_resumes_identically(whole: Path, tmp_path: Path, step: str) -> None:
    run = tmp_path / "run"
    killed = command(run, whole / "model", MULL_TEST_KILL=step)
    assert killed.returncode == -9
    if step == "6":  # as if it had been killed while it wrote the checkpoint of step 4
        (run / "checkpoints" / "checkpoint-4" / "trainer_state.json").write_text('{"epoch": 0.')
        with (run / "metrics.jsonl").open("a") as file:
            file.write('{"step": 6, "rew')
    done = command(run, whole / "model", "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(run, whole / "run")


def test_drawn_budgets_resume_identically(tmp_path: Path) -> None:
    budgets = (
        "rollout.budget.max_thinking=[1,2,3,4]", "rollout.budget.max_answer=4", "rollout.budget.told=true",
        "rollout.budget.schedule=[{from_step: 5, max_thinking: {low: 1, high: 2}}]", "trainer.max_completion_length=24",
        "model.max_length=512",
    )  # fmt: skip
    model = tiny_model(tmp_path / "model")
    assert command(tmp_path / "whole", model, *budgets).returncode == 0
    assert command(tmp_path / "run", model, *budgets, MULL_TEST_KILL="4").returncode == -9
    done = command(tmp_path / "run", model, *budgets, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "run", tmp_path / "whole")
    drawn = [list(read_jsonl(tmp_path / name / "rollouts.jsonl")) for name in ("run", "whole")]
    assert len({row["max_thinking"] for row in drawn[1]}) > 2
    assert [row["max_thinking"] for row in drawn[0]] == [row["max_thinking"] for row in drawn[1]]


def test_sigterm_saves_before_exit(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stopped = command(run, whole / "model", MULL_TEST_TERM="3")
    assert stopped.returncode == STOPPED
    assert "stopped by SIGTERM after step 3, saved; go on with --resume" in stopped.stdout
    assert "Traceback" not in stopped.stderr
    assert (run / "report.html").is_file()
    assert not (run / "adapter").exists()
    done = command(run, whole / "model", "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(run, whole / "run")


def test_run_with_blocked_reward_resumes(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    unsaved = ("trainer.save_steps=6", "rewards.0.timeout=3")
    stopped = command(run, whole / "model", *unsaved, MULL_TEST_BLOCK="4")
    assert stopped.returncode == 2
    assert "error: reward 'parity', step 4: no scores for 8 completions after 3 s (it was in " in stopped.stderr
    assert "go on with --resume (saved after step 3)" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert (run / "report.html").is_file()
    done = command(run, whole / "model", *unsaved, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(run, whole / "run")


@pytest.fixture(scope="module")
def teaching(whole: Path) -> list[str]:
    """Overrides: the run starts from one adapter, and another one on the same weights teaches."""
    adapters = [str(tiny_run(whole / name, whole / "model", strength=at) / "adapter") for name, at in
                (("start", 0.02), ("teacher", 0.1))]  # fmt: skip
    model = f"{{name: {whole / 'model'}, adapter: {adapters[1]}, max_length: 256}}"
    return [f"model.adapter={adapters[0]}", f"teacher={{model: {model}}}", "rollout.resamples=0"]


def test_run_with_teacher_resumes(whole: Path, teaching: list[str], tmp_path: Path) -> None:
    for name, env in (("whole", {}), ("cut", {"MULL_TEST_KILL": "4"})):
        done = command(tmp_path / name, whole / "model", *teaching, **env)
        assert done.returncode == (-9 if env else 0), done.stderr
    assert "with weights of its own" not in done.stdout
    done = command(tmp_path / "cut", whole / "model", *teaching, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "cut", tmp_path / "whole")
    runs = [[row["teacher_kl"] for row in read_jsonl(tmp_path / name / "metrics.jsonl")] for name in ("cut", "whole")]
    assert len(runs[0]) == 6
    assert runs[0] == pytest.approx(runs[1], abs=1e-5)
    assert runs[0][-1] > 1e-3
    assert [path.name for path in (tmp_path / "cut" / "adapter").iterdir() if path.is_dir()] == []
    assert "Reverse KL to the teacher" in (tmp_path / "cut" / "report.html").read_text()


def test_run_stopped_by_alarm_resumes(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stopped = command(run, whole / "model", "trainer.save_steps=6", "on_alarm=stop")
    assert stopped.returncode == 2
    assert "stopped at step 3 by an alarm: length_limit" in stopped.stderr
    assert "go on with --resume (saved after step 2)" in stopped.stderr
    done = command(run, whole / "model", "trainer.save_steps=6", "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(run, whole / "run")
    alarms = [(row["step"], row["alarm"]) for row in read_jsonl(run / "alarms.jsonl")]
    assert (3, "length_limit") in alarms
    assert alarms == [(row["step"], row["alarm"]) for row in read_jsonl(whole / "run" / "alarms.jsonl")]


def test_run_killed_after_training_finishes(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    shutil.rmtree(run / "adapter")
    done = command(run, whole / "model", "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(run, whole / "run")
