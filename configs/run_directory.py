"""The run directory: files are written whole and renamed into place, and an existing run is never overwritten."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from configs.data_files import data_files
from configs.errors import RunError
from configs.launch import launch_of
from configs.run_record import (
    HELD_OUT_FILE,
    RUN_FILE,
    LoadedWeights,
    RunRecord,
    command_line,
    installed_versions,
    read_record,
)
from configs.schema.sections import Section
from configs.schema.stages import STAGES

WRITTEN_FIRST = {"config.yaml", RUN_FILE, HELD_OUT_FILE, "summary.json", "truncation.json", "rejected.jsonl"}
"""What a command writes before it trains or measures."""


class RunDir:
    """One command's output folder: `run.json`, `config.yaml`, `metrics.jsonl`, `summary.json`, report and product."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def check(self, resume: bool) -> None:
        """Raise `RunError` if a new run would overwrite something, or if there is nothing to resume.

        Empty folders are nothing: a run that is killed while it starts may leave some.
        """
        used = self.path.exists() and (not self.path.is_dir() or any(not p.is_dir() for p in self.path.rglob("*")))
        if used and not resume:
            raise RunError(f"output_dir: {self.path} is in use; go on with --resume, or name another: output_dir=…")
        if resume and not (self / "config.yaml").is_file():
            raise RunError(f"--resume: {self.path} holds no run to resume (no config.yaml); start without --resume")

    def start(
        self,
        config: Section,
        resume: bool = False,
        loaded: LoadedWeights | None = None,
        think_format: Mapping[str, Any] | None = None,
        held_out: str | None = None,
    ) -> None:
        """Create the folder and write `config.yaml` and `run.json`; the fields of `RunRecord` say what else is told.

        A resumed run says which sections differ from before, and keeps the command line that started it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        now, launch = config.model_dump(), launch_of()
        record = RunRecord(
            stage=stage_of(config),
            command=command_line(),
            versions=installed_versions(),
            loaded=loaded,
            think_format=think_format,
            held_out=held_out,
            data_sha256=data_hash(config),
            processes=launch.processes,
            sharding=launch.sharding,
        )
        if resume:
            before = yaml.safe_load((self / "config.yaml").read_text(encoding="utf-8"))
            if changed := [key for key in now if now[key] != before.get(key)]:
                print(f"resuming with a changed recipe: {', '.join(changed)}")
            if first := read_record(self.path):
                record = replace(record, command=first.command, resumed=[*first.resumed, record.command])
        write_text(self / "config.yaml", yaml.safe_dump(now, sort_keys=False, allow_unicode=True))
        write_json(self / RUN_FILE, record.to_json())

    @contextmanager
    def removed_if_unused(self) -> Iterator[None]:
        """An error inside takes the folder with it while nothing was trained or measured: the next try is no second."""
        try:
            yield
        except BaseException:
            if {path.name for path in self.path.rglob("*") if not path.is_dir()} <= WRITTEN_FIRST:
                shutil.rmtree(self.path, ignore_errors=True)
            raise

    def summary(self) -> dict[str, Any]:
        """What `summary.json` holds so far."""
        path = self / "summary.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def add_summary(self, **figures: Any) -> None:
        """Add figures to `summary.json`."""
        write_json(self / "summary.json", self.summary() | figures)


def write_text(path: Path, text: str) -> None:
    """Write `text` beside `path` and rename: a reader sees the old file or the new one, never half of one."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of readable JSON; NaN is refused, because JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_jsonl(path: Path, *rows: dict[str, Any]) -> None:
    """Append rows and flush them to the disk."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())


def stage_of(config: Section) -> str:
    """The stage whose recipes have this config's class."""
    return next(stage for stage, kind in STAGES.items() if isinstance(config, kind))


def data_hash(config: Section) -> str | None:
    """SHA-256 of the files that `data.path` names; None where the data comes from elsewhere."""
    path = getattr(getattr(config, "data", None), "path", None)
    files = data_files(path) if path and "#" not in path else []
    return sha256_of_files(files) if files and all(file.is_file() for file in files) else None


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]], default: Callable[[Any], Any] | None = None) -> None:
    """`write_text` of a row a line; NaN is refused. `default` turns what JSON has no word for into what it has."""
    texts = (json.dumps(row, ensure_ascii=False, allow_nan=False, default=default) for row in rows)
    write_text(path, "".join(f"{text}\n" for text in texts))


def sha256_of(path: Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(files: Sequence[Path]) -> str:
    """The SHA-256 of the file; of several that of their names and hashes."""
    if len(files) == 1:
        return sha256_of(files[0])
    listed = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file written by `append_jsonl`; a last line cut off by a kill is left out."""
    if not path.is_file():
        return
    with path.open("rb") as file:  # the kill may have cut a character in two
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def keep_jsonl(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Drop the rows that a resumed run will write again, and a half-written last line."""
    if path.is_file():
        write_jsonl(path, [row for row in read_jsonl(path) if keep(row)])
