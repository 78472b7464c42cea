"""The forms that a trained run can be exported in: their names, folders and files, and what each needs."""

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

from configs.errors import ModelError
from configs.run_directory import sha256_of
from configs.schema.publish import K_QUANTS, TARGETS
from models.adapter_types import check_mergeable
from training.finished_run import TrainedRun


def folder_of(target: str) -> str:
    """The folder of an export inside `out`."""
    return target.replace(":", "-")


def file_of(target: str) -> str:
    """The file of a GGUF export inside its folder."""
    return f"model-{target.removeprefix('gguf:')}.gguf"


def check_targets(targets: Sequence[str], run: TrainedRun | None = None) -> None:
    """Raise `ModelError` for a target that is unknown, needs a tool that is not here, or does not fit the run."""
    for target in targets:
        if target not in TARGETS:
            raise ModelError(f"--to: {target!r} is none of {', '.join(TARGETS)}")
        if target in K_QUANTS and shutil.which("llama-quantize") is None:
            raise ModelError(
                f"--to: {target} needs llama.cpp's `llama-quantize` on the PATH; "
                "without it there are gguf:f16 and gguf:q8_0"
            )
        if target == "nf4" and importlib.util.find_spec("bitsandbytes") is None:
            raise ModelError("--to: nf4 needs bitsandbytes; run `pip install bitsandbytes`")
        if target == "adapter" and run is not None and run.adapter is None:
            raise ModelError(f"--to: {run.path} trained every weight, so it has no adapter; export merged16")
        if target != "adapter" and run is not None:
            check_mergeable(run.adapter_type, target)
    if not targets or len(set(targets)) < len(targets):
        raise ModelError(f"--to: {', '.join(targets) or 'nothing'}; name each export once")


def made_from(run: TrainedRun) -> dict[str, str]:
    """SHA-256 of what exports of `run` follow from, by its path there: the recipe, and every file of the product."""
    product = {f"{run.product.name}/{name}": digest for name, digest in hashes(run.product).items()}
    return {"config.yaml": sha256_of(run.path / "config.yaml")} | product


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder`, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
