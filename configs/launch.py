"""The processes that a launcher (`accelerate launch`, `torchrun`, `srun`) started together, as the environment says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Sharding = Literal["", "FSDP1", "FSDP2", "ZeRO-2", "ZeRO-3"]


@dataclass(frozen=True, slots=True)
class Launch:
    """What one of the processes knows of all of them.

    processes  how many there are, on all machines
    rank       the number of this one, from 0
    sharding   what they share out between them; "": nothing, each holds all weights (DDP)
    """

    processes: int = 1
    rank: int = 0
    sharding: Sharding = ""

    @property
    def splits_weights(self) -> bool:
        """Whether each process holds a part of every weight; under ZeRO-2 it holds all."""
        return self.sharding in ("FSDP1", "FSDP2", "ZeRO-3")


def launch_of(environment: Mapping[str, str] = os.environ) -> Launch:
    """What the variables say that torch's and accelerate's launchers set; one process where there are none."""
    sharding: Sharding = ""
    if _is_on(environment, "ACCELERATE_USE_FSDP"):
        sharding = "FSDP2" if environment.get("FSDP_VERSION") == "2" else "FSDP1"
    elif _is_on(environment, "ACCELERATE_USE_DEEPSPEED"):
        sharding = "ZeRO-3" if environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3" else "ZeRO-2"
    return Launch(int(environment.get("WORLD_SIZE", "1")), int(environment.get("RANK", "0")), sharding)


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "false").lower() in ("1", "true", "yes")
