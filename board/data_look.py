"""A look at a data set: what is looked at, the command that looks, and the `data:` section that names it."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import yaml

from board.data_files import DataFiles
from board.jobs import environment
from configs.errors import ConfigError, DataError, EngineError
from curation.inspection_record import Inspection
from data.formats import MAPPED

PURPOSES = {"sft": MAPPED, "grpo": ("question", "answer", "solution", "id")}
"""Stage whose recipe the data is for → what its columns may be mapped to: traces for SFT, problems for GRPO."""
COLUMNS = tuple(dict.fromkeys(key for keys in PURPOSES.values() for key in keys))
THINK_FORMATS = ("s1", "deepseek", "xml", "none")
NAMED = re.compile(r"\w[\w.:-]*(/\w[\w.-]*)?")
"""A benchmark, or an id on the hub."""
LONGEST = 600.0
"""Seconds that a look may take."""
DATA_SECTION = re.compile(r"^data:.*?(?=^\S|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Look:
    """What the page is set to: a file (absolute) or a name on the hub, who would see its rows, and its columns.

    `purpose`: one of `PURPOSES`.
    """

    path: str = ""
    hub: str = ""
    split: str = ""
    model: str = "smollm2-135m"
    think_format: str = "s1"
    rows: int = 10_000
    mapping: Mapping[str, str] = field(default_factory=dict)
    purpose: str = "sft"

    def words(self) -> list[str]:
        """The arguments of `mull inspect`."""
        words = [self.path or self.hub, *["--hub"] * (not self.path), *["--problems"] * (self.purpose == "grpo")]
        words += [f"--model={self.model}", f"--think-format={self.think_format}", f"--rows={self.rows}"]
        words += [f"--split={self.split}"] if self.split else []
        return words + [f"{key}={column}" for key, column in self.mapping.items()]

    def typed(self, limit: int) -> str:
        """The command to copy into a terminal."""
        return shlex.join(["mull", "inspect", *self.words(), f"--max-length={limit}"])

    def section(self) -> str:
        """A recipe's `data:` section in YAML."""
        place = {"path": self.path} if self.path else {"source": self.hub}
        found: dict[str, Any] = place | ({"split": self.split} if self.split else {})
        found = {key: literal(value) for key, value in found.items()}
        if self.mapping:
            found["fields"] = {key: literal(column) for key, column in self.mapping.items()}
        return yaml.safe_dump({"data": found}, allow_unicode=True, sort_keys=False, width=1000)


def look_at(
    files: DataFiles, file: str, hub: str, split: str, purpose: str, model: str, think_format: str, rows: int,
    columns: Sequence[str],
) -> Look:  # fmt: skip
    """The look that the page's fields mean; `hub` wins over `file`, and `columns` are those of `COLUMNS`, in order.

    What the purpose has no column for is left out.

    Raises `DataError` and `ConfigError` for what the board does not read.
    """
    if think_format not in THINK_FORMATS or rows < 1:
        raise ConfigError(
            f"think format {think_format!r}, {rows} rows: take one of {', '.join(THINK_FORMATS)}, and 1 up"
        )
    if purpose not in PURPOSES:
        raise ConfigError(f"data for {purpose[:40]!r}: take one of {', '.join(PURPOSES)}")
    keys = PURPOSES[purpose]
    mapping = {key: column for key, column in zip(COLUMNS, columns, strict=True) if column and key in keys}
    if not hub:
        path = str(files.path(file))
        return Look(path, "", split, model, think_format, rows, mapping, purpose)
    if not NAMED.fullmatch(hub) or Path(hub).exists():
        raise DataError(
            f"{hub[:80]!r}: no data set's name; write OWNER/NAME as on the hub, or a benchmark such as gsm8k"
        )
    return Look("", hub, split, model, think_format, rows, mapping, purpose)


def inspected(look: Look) -> Inspection:
    """What `mull inspect` finds, in a process of its own. Raises `EngineError` where it ends without a word of it."""
    with TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "curation.inspect", *look.words(), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(),
        )
        try:
            said, _ = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            raise EngineError(f"no end after {LONGEST:.0f} s; look at fewer rows") from None
        finally:
            process.kill()
            process.wait()
        try:
            return Inspection.from_json(json.loads(said.splitlines()[-1]))
        except (ValueError, IndexError, KeyError, TypeError):
            errors.seek(0)
            lines = errors.read().decode("utf-8", errors="replace").strip().splitlines()
            raise EngineError(lines[-1].removeprefix("error: ") if lines else "mull inspect said nothing") from None


def literal(text: str) -> str:
    """The text as a recipe keeps it: `${` would be looked up."""
    return text.replace("${", "\\${")


def with_section(recipe: str, section: str) -> str:
    """A recipe's text with another `data:` section in the place of its own, or at its end."""
    section = section.strip() + "\n"
    if DATA_SECTION.search(recipe) is None:
        return f"{recipe.rstrip()}\n{section}".lstrip()
    return DATA_SECTION.sub(lambda found: section + "\n" * found[0].endswith("\n\n"), recipe, count=1)
