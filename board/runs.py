"""Run folders below a root, a line each: what they are, how far, what they reached, and how long they still take."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any, Literal

import yaml

from board.folder import Folder
from board.row_file import newest_rows
from configs.errors import RunError
from configs.run_record import RUN_FILE, read_record
from report.page import percent_interval

State = Literal["running", "done", "stopped", "broken"]
DEEPEST = 5
"""Folders below folders in which runs are looked for."""
MOST_RUNS = 2_000
QUIET_SECONDS = 120.0
"""So long may a run write nothing and still count as running, or `SLOW_STEPS` of its own steps."""
SLOW_STEPS = 5
TIMED_STEPS = 20
"""The last so many steps say how long one takes."""
PRODUCTS = ("adapter", "model")
FINISHED = {"eval": "results.json", "harness": "results.json", "curate": "manifest.json", "distill": "manifest.json"}
"""Stage → the file that it writes last; a training has its product and a report."""
IMPROVING = "self_improve"
"""The stage whose run is made of others, each in a folder of a round's; its summary says why it ended."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run as a list shows it.

    `headline` is the figure that it reached with its interval, "" without one; `is_before`: measured before training.
    `step` of `steps` (None: unknown) are done; `seconds_left` is None where nothing says; `fault` is why it can't be
    read, "" where it can.
    """

    name: str
    state: State
    stage: str = ""
    model: str = ""
    data: str = ""
    headline: str = ""
    is_before: bool = False
    step: int = 0
    steps: int | None = None
    seconds_left: float | None = None
    written: float = 0.0
    fault: str = ""


def find_runs(folder: Folder) -> list[RunLine]:
    """Every run below the root, what was written last first; at most 2,000."""
    lines = []
    for path in run_folders(folder):
        try:
            lines.append(read_line(folder, path))
        except OSError:  # deleted meanwhile
            continue
    return sorted(lines, key=lambda line: -line.written)


def run_folders(folder: Folder) -> Iterator[Path]:
    """The folders that hold a `run.json` or a `config.yaml`; what lies inside one is its own, links are left out."""
    count = 0
    for here, below, files in os.walk(folder.root):
        path = Path(here)
        if path != folder.root and ({RUN_FILE, "config.yaml"} & set(files)):
            below.clear()
            yield path
            count += 1
            if count == MOST_RUNS:
                return
        deep = len(path.relative_to(folder.root).parts) >= DEEPEST
        below[:] = [] if deep else sorted(name for name in below if not name.startswith("."))


def read_line(folder: Folder, path: Path) -> RunLine:
    """What a list says of the run at `path`. Raises `OSError` where the folder is gone."""
    name, written = folder.name(path), _last_written(path)
    try:
        record = read_record(path)
        config = read_config(folder, path)
        summary = read_object(folder, path / "summary.json")
        stage = record.stage if record else _stage_of(config)
        if stage == IMPROVING:
            written = max([written, *map(_mtime, path.glob("*/*/*"))])
        rows = list(newest_rows(path / "metrics.jsonl", TIMED_STEPS)) if folder.holds(path / "metrics.jsonl") else []
        step = int(rows[0].get("step", 0)) if rows else 0
        steps = total_steps(config, rows[0] if rows else {})
        seconds = median(times) if (times := [row["step_seconds"] for row in rows if "step_seconds" in row]) else 0.0
        state = _state(path, stage, written, seconds, summary)
        left = (steps - step) * seconds if steps and seconds and state == "running" else None
        return RunLine(
            name=name,
            state=state,
            stage=stage,
            model=str(_at(config, "model", "name") or ""),
            data=str(_at(config, "data", "path") or _at(config, "data", "source") or ""),
            headline=_headline(summary, read_object(folder, path / "results.json")),
            is_before="greedy_after" not in summary and "greedy_before" in summary,
            step=step,
            steps=steps,
            seconds_left=left,
            written=written,
        )
    except (RunError, ValueError, TypeError, AttributeError, KeyError, yaml.YAMLError) as error:
        return RunLine(name, "broken", written=written, fault=" ".join(str(error).split())[:200])


def read_object(folder: Folder, file: Path) -> dict[str, Any]:
    """The JSON object of a file below the root; empty without the file. Raises `ValueError` for another content."""
    if not folder.holds(file):
        return {}
    value = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{file.name} holds no object")
    return value


def read_config(folder: Folder, path: Path) -> dict[str, Any]:
    """The run's resolved recipe; empty where it has none yet."""
    file = path / "config.yaml"
    return _parsed(file, file.stat().st_mtime_ns) if folder.holds(file) else {}


@lru_cache(maxsize=MOST_RUNS)
def _parsed(file: Path, written: int) -> dict[str, Any]:
    value = yaml.safe_load(file.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}


def total_steps(config: Mapping[str, Any], row: Mapping[str, Any]) -> int | None:
    """How many steps the run is to take: its recipe's `max_steps`, else what its epochs so far come to."""
    trainer = config.get("trainer") or {}
    if (steps := trainer.get("max_steps", -1)) > 0:
        return int(steps)
    step, epoch = row.get("step"), row.get("epoch")
    return round(step * trainer.get("num_train_epochs", 3) / epoch) if step and epoch else None


def _last_written(path: Path) -> float:
    return max((entry.stat().st_mtime for entry in os.scandir(path) if entry.is_file()), default=path.stat().st_mtime)


def _mtime(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # not there, or no longer
        return 0.0


def _state(path: Path, stage: str, written: float, step_seconds: float, summary: Mapping[str, Any]) -> State:
    """Done with its last file there; running while it was written to a short while ago."""
    if stage == IMPROVING:
        newest = max(_mtime(path / name) for name in ("steps.jsonl", "rounds.jsonl"))
        done = "stopped" in summary and _mtime(path / "summary.json") >= newest
    elif stage in FINISHED:
        done = (path / FINISHED[stage]).is_file()
    else:
        report, metrics = path / "report.html", path / "metrics.jsonl"
        is_told = report.is_file() and (not metrics.is_file() or report.stat().st_mtime >= metrics.stat().st_mtime)
        done = is_told and any((path / product).is_dir() for product in PRODUCTS)
    if done:
        return "done"
    return "running" if time.time() - written < max(QUIET_SECONDS, SLOW_STEPS * step_seconds) else "stopped"


def _stage_of(config: Mapping[str, Any]) -> str:
    """Of a run without a record: what its recipe looks like."""
    return "grpo" if "rewards" in config else "eval" if "budgets" in config else "sft" if "trainer" in config else ""


def _at(values: Mapping[str, Any], section: str, key: str) -> object:
    inner = values.get(section)
    return inner.get(key) if isinstance(inner, Mapping) else None


def _headline(summary: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Greedy accuracy after the training, or before it; the best point of an evaluation; what rounds came to."""
    points = [point["accuracy"] for point in results.get("points", ()) if point.get("accuracy")]
    if points:
        return percent_interval(max(points, key=lambda accuracy: accuracy["value"]))
    for key in ("greedy_after", "greedy_before", "after"):
        if isinstance(found := summary.get(key), Mapping):
            return percent_interval(found)
    return ""
