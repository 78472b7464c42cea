"""Several processes learn what one learns; a run of two writes one run directory."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.run_directory import read_jsonl
from tests.tiny import tiny_model
from training.checkpoint import is_whole
from training.sigterm import STOPPED

pytestmark = pytest.mark.recipe

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


def test_two_processes_equal_one(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    found: dict[int, tuple[Any, Any]] = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        launch(processes, "tests.rl.two_processes", str(model), str(folder), str(16 // processes))
        found[processes] = json.loads((folder / "logs.json").read_text()), torch.load(folder / "weights.pt")
    for one, two in zip(found[1][0], found[2][0], strict=True):
        assert one["reward"] == two["reward"]
        assert one["loss"] == pytest.approx(two["loss"], abs=1e-5)
        assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-4)
        assert one["grad_norm"] > 0.01
    for mine, theirs in zip(found[1][1], found[2][1], strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


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


def test_stopped_and_failed_runs_go_on_together(tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = [
        "rl.grpo", "--config=demo.yaml", f"output_dir={run}", f"model.name={tiny_model(tmp_path / 'model')}",
        "model.precision=fp32", "model.max_length=512", "eval=null", "data.limit=20",
        "rewards.0.name=tests.rl.plugins:parity", "trainer.max_steps=4", "trainer.gradient_accumulation_steps=1",
        "trainer.max_completion_length=8",
    ]  # fmt: skip
    two = [*recipe, "trainer.per_device_train_batch_size=4"]

    # 1. a SIGTERM: the step is finished and saved
    assert started(2, *two, MULL_TEST_TERM="1") == [STOPPED, STOPPED]
    assert is_whole(run / "checkpoints" / "checkpoint-1")
    assert not (run / "adapter").exists()

    # 2. one process fails: both save the last whole step, and one line says so
    failed = launched(2, *two, "--resume", MULL_TEST_FAIL="3")
    errors = list({line for line in failed.stderr.splitlines() if line.startswith("error: ")})
    assert len(errors) == 1, failed.stderr
    assert "one process alone fails" in errors[0]
    assert "go on with --resume (saved after step 2)" in errors[0]
    assert [json.loads(line)["alarm"] for line in (run / "alarms.jsonl").read_text().splitlines()][-1] == (
        "broken_reward"
    )

    # 3. one process goes on, with as many rows a step
    launch(1, *recipe, "trainer.per_device_train_batch_size=8", "--resume")
    assert [row["step"] for row in read_jsonl(run / "metrics.jsonl")] == [1, 2, 3, 4]
    assert [row["step"] for row in read_jsonl(run / "rollouts.jsonl")] == [
        step for step in range(1, 5) for _ in "12345678"
    ]
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
