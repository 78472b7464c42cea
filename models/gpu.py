"""What the machine's GPUs can compute, as the driver's `nvidia-smi` tells it: no torch, and no CUDA context.

A CUDA context in this process would take memory from vLLM's, and forbid vLLM to fork.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

LEAST_DRIVER = 580
"""The first driver branch that runs CUDA 13, which the pinned torch is built for."""
LEAST_CAPABILITY = (7, 5)
"""Turing: the oldest GPUs that CUDA 13 compiles for."""
BF16_CAPABILITY = (8, 0)
"""Ampere: the oldest GPUs that compute in bf16."""
FIELDS = ("index", "uuid", "name", "compute_cap", "driver_version")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; `capability` is CUDA's compute capability, `driver` the whole version."""

    index: int
    uuid: str
    name: str
    capability: tuple[int, int]
    driver: str


@cache
def visible_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that this process may use, in CUDA's order; empty where `nvidia-smi` tells of none."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return ()
    words = [smi, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader"]
    try:
        listing = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return visible(parse_listing(listing), os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_listing(listing: str) -> tuple[Gpu, ...]:
    """GPUs from `nvidia-smi`'s lines of `FIELDS`, the most capable first, as CUDA counts them; odd lines are no GPU."""
    gpus = []
    for line in listing.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(FIELDS):
            continue
        index, uuid, name, capability, driver = fields
        major, _, minor = capability.partition(".")
        if index.isdecimal() and major.isdecimal() and minor.isdecimal():
            gpus.append(Gpu(int(index), uuid, name, (int(major), int(minor)), driver))
    return tuple(sorted(gpus, key=lambda gpu: gpu.capability, reverse=True))


def visible(gpus: Sequence[Gpu], allowed: str | None) -> tuple[Gpu, ...]:
    """Those of `gpus`, in CUDA's order, that a `CUDA_VISIBLE_DEVICES` of numbers or UUIDs names; None names all."""
    if allowed is None:
        return tuple(gpus)
    named: list[Gpu] = []
    for word in map(str.strip, allowed.split(",")):
        if word.isdecimal():
            named += gpus[int(word) : int(word) + 1]
        elif word:
            named += [gpu for gpu in gpus if gpu.uuid.startswith(word)]
    return tuple(named)


def has_bf16(gpus: Sequence[Gpu]) -> bool:
    """Whether every one of `gpus` computes in bf16; true of none, for a CPU holds bf16 too."""
    return all(gpu.capability >= BF16_CAPABILITY for gpu in gpus)


def dtype_of(precision: str) -> str:
    """The name of the dtype in which weights of that precision are computed: 16 bits are fp16 on a GPU without bf16."""
    if precision == "fp32":
        return "float32"
    return "bfloat16" if has_bf16(visible_gpus()) else "float16"


def unfit(gpus: Sequence[Gpu]) -> tuple[str, str] | None:
    """What keeps the pinned libraries from running on `gpus`, and the way out; None if nothing."""
    for gpu in gpus:
        branch = gpu.driver.partition(".")[0]
        if branch.isdecimal() and int(branch) < LEAST_DRIVER:
            return (
                f"{gpu.name} has driver {gpu.driver}, CUDA 13 needs {LEAST_DRIVER} or newer",
                "install a newer driver",
            )
        if gpu.capability < LEAST_CAPABILITY:
            found, least = (".".join(map(str, number)) for number in (gpu.capability, LEAST_CAPABILITY))
            wrong = f"{gpu.name} has compute capability {found}, CUDA 13 needs {least} (Turing) or newer"
            return wrong, "name others in CUDA_VISIBLE_DEVICES, or leave it empty to compute on the CPU"
    return None
