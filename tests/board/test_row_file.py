"""Rows read from a growing file's end or at a step, without reading it whole."""

import json
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board import row_file
from board.row_file import newest_rows, offset_of_step, rows_of_step, step_bounds


def write(path: Path, steps: list[int], text: str = "x") -> list[bytes]:
    lines = [json.dumps({"step": step, "at": at, "text": text}).encode() for at, step in enumerate(steps)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return lines


def ats(rows: Any) -> list[int]:
    return [row["at"] for row in rows]


@given(
    steps=st.lists(st.integers(1, 9), max_size=40).map(sorted),
    asked=st.integers(0, 10),
    width=st.integers(0, 30),
    block=st.integers(1, 200),
)
def test_a_step_is_found_as_by_reading_all(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], asked: int, width: int, block: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rollouts.jsonl"
    write(path, steps, "é" * width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_file, "BLOCK", block)
        assert ats(rows_of_step(path, asked, 99)) == [at for at, step in enumerate(steps) if step == asked]
        newest = ats(newest_rows(path, 99, asked))
        assert newest == [at for at, step in reversed(list(enumerate(steps))) if step <= asked]
        assert ats(newest_rows(path, 3)) == list(reversed(range(len(steps))))[:3]
    assert step_bounds(path) == ((steps[0], steps[-1]) if steps else None)


def test_half_a_line_is_no_row_yet(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    first, second = write(path, [1, 2])
    path.write_bytes(first + b"\n" + second[:-3])
    assert ats(newest_rows(path, 9)) == [0]
    assert ats(rows_of_step(path, 2, 9)) == []
    path.write_bytes(first + b"\n" + second + b"\n")
    assert ats(newest_rows(path, 9)) == [1, 0]


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    first, second, third = write(path, [1, 2, 2])
    path.write_bytes(b"\n".join([b"{broken", first, b"[1]", b"", second, b"\xff\xfe", third, b""]))
    assert ats(newest_rows(path, 9)) == [2, 1, 0]
    assert ats(rows_of_step(path, 2, 9)) == [1, 2]
    assert step_bounds(path) == (1, 2)


def test_a_long_file_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rollouts.jsonl"
    write(path, [at // 64 for at in range(100_000)], "x" * 200)
    reads: list[int] = []
    real = row_file._row

    def counted(line: bytes) -> row_file.Row | None:
        reads.append(len(line))
        return real(line)

    monkeypatch.setattr(row_file, "_row", counted)
    assert ats(rows_of_step(path, 777, 99)) == list(range(777 * 64, 778 * 64))
    assert len(list(newest_rows(path, 50, 1000))) == 50
    assert len(reads) < 300


def test_a_file_without_steps_has_no_bounds(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"id": "a", "step": null}\n')
    assert step_bounds(path) is None
    with path.open("rb") as file:
        opened: BinaryIO = file
        assert offset_of_step(opened, 3, path.stat().st_size) == path.stat().st_size
