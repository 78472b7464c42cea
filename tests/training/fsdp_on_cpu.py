"""A module's `main` under FSDP2 between CPU processes: `fsdp_on_cpu.py rl.grpo --config=demo.yaml …`.

Accelerate takes FSDP for accelerators alone, and goes on with DDP on a CPU without a word. PyTorch's FSDP2 itself runs
on gloo. So what accelerate is told here is that there are several devices; all else is the command.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType

from configs.command import run_command
from training import launch_check

ROOT = Path(__file__).parents[2]


def launched(processes: int, module: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`module` in so many processes, by accelerate's launcher and the file that is shipped."""
    return subprocess.run(
        [
            sys.executable, "-m", "accelerate.commands.launch", "--config_file", "configs/accelerate/fsdp2.yaml",
            f"--num_processes={processes}", __file__, module, *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


def devices(*_: Any, **__: Any) -> tuple[str, DistributedType]:
    """What accelerate is told."""
    return "gloo", DistributedType.MULTI_GPU


if __name__ == "__main__":
    main = importlib.import_module(sys.argv.pop(1)).main
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = devices
    with patch.object(launch_check, "has_gpu", lambda: True):
        run_command(main)
