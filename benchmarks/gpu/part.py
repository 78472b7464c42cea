"""One part of `run.py`, in a process of its own: `python -m benchmarks.gpu.part MODULE NAME FILE [--tiny]`.

A part is a generator of (figure, value). The file is written anew after each, so that what was measured before a crash
is kept; the first figures say on what.
"""

import math
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from configs.command import prepare_libraries
from configs.run_directory import write_json

PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "unsloth", "vllm")


def facts() -> dict[str, Any]:
    """The device and the versions of what runs on it."""
    import torch

    found: dict[str, Any] = {"device": "CPU"}
    if torch.cuda.is_available():
        found["device"] = torch.cuda.get_device_name()
        found["capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
        found["cuda"] = torch.version.cuda
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _shown(value: float) -> float | str:
    """Six digits; JSON has no word for NaN and infinities, which a GPU may come to."""
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)


def main(argv: list[str]) -> None:
    """Run the part and write its figures as they come."""
    module, name, file, *flags = argv
    prepare_libraries()
    figures = facts()
    for key, value in getattr(import_module(f"benchmarks.gpu.{module}"), name)("--tiny" in flags):
        figures[key] = _shown(value) if isinstance(value, float) else value
        write_json(Path(file), figures)


if __name__ == "__main__":
    main(sys.argv[1:])
