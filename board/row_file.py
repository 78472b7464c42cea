"""Rows of a JSONL file that grows, read from its end or at a step, however large it is.

Files of rollouts are never read whole: their steps only rise (a resumed run rewrites the file without the steps that it
takes again), so a step is found by bisecting byte offsets, and the newest rows stand at the end.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

Row = dict[str, Any]
BLOCK = 1 << 16
LONGEST_LINE = 16 << 20
"""A longer line is no row of ours: reading backwards stops there."""


def newest_rows(path: Path, most: int, up_to_step: int | None = None) -> Iterator[Row]:
    """At most `most` rows, the last first, of steps up to `up_to_step`; what is no row is left out.

    A half-written last line is no row yet. Raises `OSError`.
    """
    with path.open("rb") as file:
        end = file.seek(0, 2)
        if up_to_step is not None:
            end = offset_of_step(file, up_to_step + 1, end)
        for count, line in enumerate(_lines_backwards(file, end)):
            if count == most:
                return
            if (row := _row(line)) is not None:
                yield row


def rows_of_step(path: Path, step: int, most: int) -> list[Row]:
    """At most `most` rows of one step, in the order of the file. Raises `OSError`."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(offset_of_step(file, step, end))
        rows: list[Row] = []
        for line in iter(file.readline, b""):
            row = _row(line) if line.endswith(b"\n") else None
            if row is not None and _step(row) != step:
                break
            if row is not None:
                rows.append(row)
            if len(rows) == most:
                break
        return rows


def step_bounds(path: Path) -> tuple[int, int] | None:
    """(first, last) step of the file; None where no row has one. Raises `OSError`."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        _, first = _row_after(file, 0, end)
        last = next((row for line in _lines_backwards(file, end) if (row := _row(line)) is not None), None)
    steps = [_step(row) for row in (first, last) if row is not None]
    return (steps[0], steps[1]) if len(steps) == 2 and min(steps) >= 0 else None


def offset_of_step(file: BinaryIO, step: int, end: int) -> int:
    """The offset of the first row whose step is at least `step`, `end` where there is none."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        start, row = _row_after(file, middle, high)
        if row is None:
            high = middle
        elif _step(row) < step:
            low = start
        else:
            high = middle
    return low


def _row_after(file: BinaryIO, offset: int, end: int) -> tuple[int, Row | None]:
    """(where the line after it starts, the first row that starts at `offset` or after it and before `end`)."""
    if offset > 0:
        file.seek(offset - 1)
        file.readline()  # to the start of a line
    else:
        file.seek(0)
    while file.tell() < end and (line := file.readline()).endswith(b"\n"):
        if (row := _row(line)) is not None:
            return file.tell(), row
    return end, None


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """The whole lines before `end`, the last first."""
    position, rest, is_first = end, b"", True
    while position > 0 and len(rest) < LONGEST_LINE:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        rest, *lines = (file.read(size) + rest).split(b"\n")
        for line in reversed(lines):
            if not is_first:  # what follows the last line break is half a line
                yield line
            is_first = False
    if position == 0 and not is_first:
        yield rest


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _step(row: Row) -> int:
    step = row.get("step")
    return step if isinstance(step, int) else -1


class FollowedRows:
    """The rows of a file that grows, of which only what was added is read again.

    `keep`: what is kept of a row; `most_bytes`: so much is read at a look, and the rest with the next ones.
    """

    def __init__(self, keep: Callable[[Row], Row] = dict, most_bytes: int = 1 << 40) -> None:
        self._keep, self._most = keep, most_bytes
        self._rows: list[Row] = []
        self._inode = self._offset = 0
        self.is_behind = False
        """Whether the last look left rows for the next one."""

    def read(self, path: Path) -> list[Row]:
        """All rows so far; a file that was written anew is read anew. Raises `OSError`."""
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_ino != self._inode or found.st_size < self._offset:
                self._rows, self._inode, self._offset = [], found.st_ino, 0
            file.seek(self._offset)
            until, self.is_behind = self._offset + self._most, False
            for line in iter(file.readline, b""):
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                if (row := _row(line)) is not None:
                    self._rows.append(self._keep(row))
                if self._offset >= until:
                    self.is_behind = self._offset < found.st_size
                    break
        return self._rows
