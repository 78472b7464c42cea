"""How a command ends."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from configs.command import SHARED_CORES, prepare_libraries
from configs.errors import ConfigError, DataError, MullError, RunError
from rl.grpo import main
from tests.tiny import tiny_model


def test_error_ends_a_process_with_blocked_thread() -> None:
    script = """
import sys, threading
from configs import command
from configs.errors import MullError
command.PATIENCE = 0.1
def main(argv):
    print("begun")
    threading.Thread(target=threading.Event().wait).start()
    raise MullError("it blocks")
command.run_command(main)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (2, "begun\n", "error: it blocks\n")


def test_overrides_may_stand_between_options(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="other holds no run to resume"):
        main(["seed=1", "--config", "demo.yaml", "seed=2", "--resume", f"output_dir={tmp_path / 'other'}"])


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (
            ["eval.max_tokens=300"],
            DataError,
            r"problem \S+ has \d+ tokens, with eval\.max_tokens=300 .* model\.max_length=256",
        ),
        (["trainer.lr_scheduler_type=cosin"], ConfigError, "trainer: cosin is not a valid SchedulerType"),
        (["trainer.optim=adam"], ConfigError, "trainer: adam is not a valid OptimizerNames"),
        (["trainer.adam_beta1=3.0"], ConfigError, "trainer: Invalid beta parameter"),
        (["trainer.lr_scheduler_type=cosine_with_min_lr"], ConfigError, "trainer: .*min_lr"),
        (["trainer.router_aux_loss_coef=0.1"], ConfigError, "trainer: .*not a Mixture-of-Experts model"),
        (["rollout.engine=vllm", "adapter=null"], ConfigError, "rollout.engine: vllm gets the adapter anew"),
    ],
)
def test_refused_command_leaves_no_folder(
    tmp_path: Path, overrides: list[str], error: type[MullError], message: str
) -> None:
    model = tiny_model(tmp_path / "model")
    small = ["data.limit=20", "eval.data.limit=4", "eval.max_tokens=8", "trainer.max_completion_length=8"]
    arguments = ["--config=demo.yaml", f"output_dir={tmp_path / 'run'}", f"model.name={model}", *small]
    with pytest.raises(error, match=message) as raised:
        main([*arguments, *overrides])
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_idle_openmp_threads_spin_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SHARED_CORES:
        monkeypatch.delenv(name, raising=False)
    prepare_libraries()
    assert {name: os.environ[name] for name in SHARED_CORES} == SHARED_CORES
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare_libraries()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "GOMP_SPINCOUNT" not in os.environ  # it would win over the user's policy


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told to keep what is freed")
def test_freed_memory_is_kept() -> None:
    """Arrays that come and go fault for their pages once, or each time where the user says so."""
    script = """
import resource
import numpy
from configs.command import SHARED_CORES, prepare_libraries
prepare_libraries()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
arrays = [numpy.ones(3 << 20) for _ in range(4)]
before = faults()
for _ in range(10):
    del arrays
    arrays = [numpy.ones(3 << 20) for _ in range(4)]
print(faults() - before)
"""

    def faults(**environment: str) -> int:
        command = [sys.executable, "-c", script]
        return int(subprocess.run(command, env=os.environ | environment, capture_output=True, check=True).stdout)

    assert faults() < 24_576  # 4 arrays of 24 MiB are 24,576 pages of 4 KiB: less than once in ten times
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 10 * faults()
