"""A step as a process of its own: started or resumed, told of a SIGTERM, its one line of error taken over."""

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import yaml

from configs.errors import RunError
from configs.run_directory import write_text
from self_improve.plan import Step

HOUSE = Path(__file__).resolve().parents[1]
STOPPED = 128 + signal.SIGTERM
"""The exit code after a SIGTERM."""


def way_to_begin(folder: Path) -> Literal["start", "resume"]:
    """How a step that did not end goes on: a folder without `config.yaml` holds nothing that was made."""
    return "resume" if (folder / "config.yaml").is_file() else "start"


def run_step(step: Step, lock: int) -> None:
    """Run the step to its end, in a process that holds `lock` too (see `only_one`).

    A SIGTERM reaches the process, which leaves its checkpoint; then this one ends with 143. Raises `RunError` with
    what the process said where it fails.
    """
    # 1. its recipe, and whether it goes on with something
    way = way_to_begin(step.folder)
    if way == "start":
        shutil.rmtree(step.folder, ignore_errors=True)
    recipe = step.folder.with_name(f"{step.folder.name}.yaml")
    recipe.parent.mkdir(parents=True, exist_ok=True)
    write_text(recipe, yaml.safe_dump(step.config.model_dump(), sort_keys=False, allow_unicode=True))
    words = [step.command, "--config", str(recipe), *(["--resume"] if way == "resume" else [])]
    print(f"── {step.name}: mull {shlex.join(words)}", flush=True)

    # 2. the process
    path = os.pathsep.join(filter(None, (str(HOUSE), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", "mull", *words]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True, errors="replace",
        pass_fds=(lock,),
    ) as child, _told_of_sigterm(child) as told:  # fmt: skip
        said = _said_by(child)
        code = child.wait()

    # 3. what came of it
    if told or code in (STOPPED, -signal.SIGTERM):
        print(f"{step.name}: stopped; go on with --resume", file=sys.stderr, flush=True)
        raise SystemExit(STOPPED)
    if code:
        reason = said or f"`mull {step.command}` ended with exit code {code}"
        raise RunError(f"{step.name}: {reason.removeprefix('error: ')} (go on with --resume)")


def _said_by(child: "subprocess.Popen[str]") -> str:
    """Hand the process's stderr on, line by line, but for its one line of error, which is returned."""
    error = last = ""
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("error: "):
            error = line.strip()
            continue
        last = line.strip() or last
        sys.stderr.write(line)
        sys.stderr.flush()
    return error or last


@contextmanager
def _told_of_sigterm(child: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """Inside, a SIGTERM goes on to the process, and into the list."""
    told: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        told.append(number)
        child.send_signal(signal.SIGTERM)

    before: Any = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def only_one(folder: Path) -> Iterator[int]:
    """Hold the run's lock, which its processes hold too: one that outlived a kill is not run over.

    Raises `RunError` where somebody holds it.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"{folder}: a process is at work in it, one that an earlier command started perhaps; wait for its end, "
                "or end it"
            ) from None
        yield file.fileno()
