"""Several processes learn what one learns; a run of two writes one run directory."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from configs.run_directory import read_jsonl
from tests.tiny import tiny_model
from tests.training import fsdp_on_cpu
from training.checkpoint import is_whole
from training.sigterm import STOPPED

pytestmark = pytest.mark.recipe
Start = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[2]


def launched(processes: int, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Start as `accelerate launch` does: by torchrun."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    return subprocess.run(
        [sys.executable, "-m", *launcher, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", **env},
    )


def started(processes: int, *arguments: str, **env: str) -> list[int]:
    """The exit codes of processes that nothing but their environment tells of one another, as under `srun`."""
    together = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, **together, "RANK": str(rank), "LOCAL_RANK": str(rank), **env},
        )
        for rank in range(processes)
    ]
    return [process.wait() for process in running]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def launch(processes: int, *arguments: str) -> None:
    """`launched`, to a good end."""
    done = launched(processes, *arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("start", [launched, fsdp_on_cpu.launched], ids=["ddp", "fsdp2"])
def test_two_processes_equal_one(tmp_path: Path, start: Start) -> None:
    model = tiny_model(tmp_path / "model")
    found: dict[int, tuple[Any, Any]] = {}
    for processes, begin in ((1, launched), (2, start)):
        folder = tmp_path / str(processes)
        done = begin(processes, "tests.rl.two_processes", str(model), str(folder), str(16 // processes))
        assert done.returncode == 0, done.stderr
        found[processes] = json.loads((folder / "logs.json").read_text()), torch.load(folder / "weights.pt")
    for one, two in zip(found[1][0], found[2][0], strict=True):
        assert one["reward"] == two["reward"]
        assert one["dropped_groups"] == two["dropped_groups"]
        assert one["loss"] == pytest.approx(two["loss"], abs=1e-5)
        assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-4)
        assert one["grad_norm"] > 0.01
    for mine, theirs in zip(found[1][1], found[2][1], strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_sharing_weights_out_changes_nothing(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    for name, start in (("ddp", launched), ("fsdp2", fsdp_on_cpu.launched)):
        done = start(
            2, "rl.grpo", "--config=demo.yaml", f"output_dir={tmp_path / name}", f"model.name={model}",
            "model.precision=fp32", "model.max_length=512", "data.limit=20", "rewards.0.name=tests.rl.plugins:parity",
            "rollout.resamples=1", "rollout.curriculum=true", "rollout.check_every=1", "trainer.max_steps=2",
            "trainer.per_device_train_batch_size=8", "trainer.gradient_accumulation_steps=1",
            "trainer.max_completion_length=24", "rollout.budget.max_thinking=[1,2,3]", "rollout.budget.max_answer=4",
            "trainer.learning_rate=1e-2", "trainer.warmup_steps=0", "eval.data.limit=2", "eval.k=1",
            "eval.max_tokens=8", "eval.every=1",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    ddp, fsdp2 = (tmp_path / name for name in ("ddp", "fsdp2"))

    # 1. completions, losses, what is measured between, and the check that the policy draws them
    drawn = [[(r["text"], r["reward"], r["step"]) for r in read_jsonl(run / "rollouts.jsonl")] for run in (ddp, fsdp2)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 32
    rows = [list(read_jsonl(run / "metrics.jsonl")) for run in (ddp, fsdp2)]
    for mine, theirs in zip(*(part[1:] for part in rows), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)
        assert mine["eval_greedy"] == theirs["eval_greedy"]
        assert theirs["logprob_gap_mean"] < 1e-5
    held_out = [[r["text"] for r in read_jsonl(run / "heldout_after.jsonl")] for run in (ddp, fsdp2)]
    assert held_out[0] == held_out[1]

    # 2. the best weights are those from before training, where a random model gets nothing right
    best = [load_file(run / "adapter" / "adapter_model.safetensors") for run in (ddp, fsdp2)]
    torch.testing.assert_close(best[0], best[1])
    assert not any(weight.any() for name, weight in best[1].items() if "lora_B" in name)
    assert json.loads((fsdp2 / "run.json").read_text())["sharding"] == "FSDP2"


def test_two_processes_write_one_run(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    run = tmp_path / "run"
    launch(
        2, "rl.grpo", "--config=demo.yaml", f"output_dir={run}", f"model.name={model}", "model.precision=fp32",
        "eval=null", "data.limit=20", "rewards.0.name=tests.rl.plugins:parity", "rollout.resamples=1",
        "rollout.curriculum=true", "trainer.max_steps=2", "trainer.per_device_train_batch_size=4",
        "trainer.gradient_accumulation_steps=1", "trainer.max_completion_length=24", "trainer.save_steps=1",
        "rollout.budget.max_thinking=[1,2,3]", "rollout.budget.max_answer=4", "rollout.budget.told=true",
        "model.max_length=512",
    )  # fmt: skip
    assert [row["step"] for row in read_jsonl(run / "metrics.jsonl")] == [1, 2]
    assert [row["step"] for row in read_jsonl(run / "rollouts.jsonl")] == [1] * 8 + [2] * 8
    rows = list(read_jsonl(run / "rollouts.jsonl"))
    assert all(len({row["max_thinking"] for row in rows[at : at + 4]}) == 1 for at in range(0, 16, 4))
    assert all(f"up to {row['max_thinking']} tokens" in row["prompt"] for row in rows)
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert (run / "report.html").is_file()


def short_recipe(folder: Path, run: Path, rows: int) -> list[str]:
    """Four steps of so many completions a process."""
    return [
        "rl.grpo", "--config=demo.yaml", f"output_dir={run}", f"model.name={tiny_model(folder / 'model')}",
        "model.precision=fp32", "model.max_length=512", "eval=null", "data.limit=20",
        "rewards.0.name=tests.rl.plugins:parity", "trainer.max_steps=4", "trainer.gradient_accumulation_steps=1",
        "trainer.max_completion_length=8", f"trainer.per_device_train_batch_size={rows}",
    ]  # fmt: skip


def assert_failed_together(failed: subprocess.CompletedProcess[str], run: Path) -> None:
    """One line says that one process failed in step 3, and what was saved."""
    errors = list({line for line in failed.stderr.splitlines() if line.startswith("error: ")})
    assert len(errors) == 1, failed.stderr
    assert "one process alone fails" in errors[0]
    assert "go on with --resume (saved after step 2)" in errors[0]
    assert [json.loads(line)["alarm"] for line in (run / "alarms.jsonl").read_text().splitlines()][-1] == (
        "broken_reward"
    )


def test_stopped_and_failed_runs_go_on_together(tmp_path: Path) -> None:
    run = tmp_path / "run"
    two = short_recipe(tmp_path, run, 4)

    # 1. a SIGTERM: the step is finished and saved
    assert started(2, *two, MULL_TEST_TERM="1") == [STOPPED, STOPPED]
    assert is_whole(run / "checkpoints" / "checkpoint-1")
    assert not (run / "adapter").exists()

    # 2. one process fails: both save the last whole step, and one line says so
    failed = launched(2, *two, "--resume", MULL_TEST_FAIL="3")
    assert_failed_together(failed, run)

    # 3. one process goes on, with as many rows a step
    launch(1, *short_recipe(tmp_path, run, 8), "--resume")
    assert [row["step"] for row in read_jsonl(run / "metrics.jsonl")] == [1, 2, 3, 4]
    assert [row["step"] for row in read_jsonl(run / "rollouts.jsonl")] == [
        step for step in range(1, 5) for _ in "12345678"
    ]
    assert (run / "adapter" / "adapter_model.safetensors").is_file()


def test_shared_out_run_is_stopped_fails_and_goes_on_with_three(tmp_path: Path) -> None:
    run, start = tmp_path / "run", fsdp_on_cpu.launched
    two, three = short_recipe(tmp_path, run, 6), short_recipe(tmp_path, run, 4)
    groups = "trainer.num_generations=2"

    # 1. a SIGTERM: the step is finished and saved; the launcher's own exit code is 1
    stopped = start(2, *two, groups, MULL_TEST_TERM="1")
    assert "stopped by SIGTERM after step 1, saved" in stopped.stdout, stopped.stderr
    assert is_whole(run / "checkpoints" / "checkpoint-1")

    # 2. one process fails: both save the last whole step
    assert_failed_together(start(2, *two, groups, "--resume", MULL_TEST_FAIL="3"), run)

    # 3. without sharing out it can't go on: checkpoints have other files
    refused = launched(2, *two, groups, "--resume")
    assert "the run's checkpoints are for FSDP2, not for DDP or one process" in refused.stderr

    # 4. three processes go on, with as many rows a step; a run that has ended is opened again
    for _ in "12":
        done = start(3, *three, groups, "--resume")
        assert done.returncode == 0, done.stderr
        assert [row["step"] for row in read_jsonl(run / "metrics.jsonl")] == [1, 2, 3, 4]
        assert len(list(read_jsonl(run / "rollouts.jsonl"))) == 48
        last = load_file(run / "checkpoints" / "checkpoint-4" / "adapter_model.safetensors")
        torch.testing.assert_close(load_file(run / "adapter" / "adapter_model.safetensors"), last)
