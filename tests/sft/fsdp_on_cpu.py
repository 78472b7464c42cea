"""`sft.train` under FSDP2 between CPU processes; started by `test_processes.py`, by `accelerate launch`.

Accelerate takes FSDP for accelerators alone, and goes on with DDP on a CPU without a word. PyTorch's FSDP2 itself runs
on gloo. So what accelerate is told here is that there are several devices; all else is the command.
"""

import os
from typing import Any
from unittest.mock import patch

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType

from configs.command import run_command
from sft.train import main
from training import launch_check


def devices(*_: Any, **__: Any) -> tuple[str, DistributedType]:
    return "gloo", DistributedType.MULTI_GPU


if __name__ == "__main__":
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = devices
    with patch.object(launch_check, "has_gpu", lambda: True):
        run_command(main)
