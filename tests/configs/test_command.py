"""How a command ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import RunError
from rl.grpo import main


def test_an_error_ends_the_process_although_a_thread_blocks() -> None:
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


def test_changes_to_a_recipe_may_stand_between_and_after_options(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="other holds no run to resume"):
        main(["seed=1", "--config", "demo.yaml", "seed=2", "--resume", f"output_dir={tmp_path / 'other'}"])
