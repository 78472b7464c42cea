"""The recorder: everything graded and on disk, or a clear error; never a silent loss."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from configs.errors import RunError
from evaluation.sample_store import Recorder
from rewards.grading.verdict import Verdict

Row = dict[str, Any]


def right(rows: Sequence[Row]) -> list[Verdict]:
    return [Verdict(float(row["id"] % 2 == 0), "exact") for row in rows]


def test_every_row_is_graded_and_written_once_in_order(tmp_path: Path) -> None:
    moves: list[tuple[str, int, int, int]] = []
    path = tmp_path / "samples.jsonl"
    with Recorder(path, right, total=100, progress=lambda *move: moves.append(move)) as recorder:
        for i in range(100):
            recorder.put({"id": i, "point": "p"})
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == list(range(100))
    assert [row["verdict"] for row in rows] == [i % 2 == 0 for i in range(100)]
    assert recorder.rows == rows
    assert moves[-1] == ("p", 100, 100, 50)


def test_rows_are_on_disk_while_the_run_goes_on(tmp_path: Path) -> None:
    written = threading.Event()
    with Recorder(tmp_path / "s.jsonl", right, progress=lambda *_: written.set()) as recorder:
        recorder.put({"id": 1, "point": "p"})
        assert written.wait(10)
        assert (tmp_path / "s.jsonl").read_text("utf-8").endswith("\n")


def test_rows_of_an_earlier_session_are_kept_and_not_written_again(tmp_path: Path) -> None:
    old = {"id": 0, "point": "p", "verdict": True, "reason": ""}
    with Recorder(tmp_path / "s.jsonl", right, [old]) as recorder:
        recorder.put({"id": 1, "point": "p"})
    assert [row["id"] for row in recorder.rows] == [0, 1]
    assert len((tmp_path / "s.jsonl").read_text("utf-8").splitlines()) == 1


def record(path: Path, count: int, error: type[BaseException] | None = None) -> None:
    with Recorder(path, right) as recorder:
        for i in range(count):
            recorder.put({"id": i, "point": "p"})
        if error is not None:
            raise error


def test_a_full_disk_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    full = tmp_path / "samples.jsonl"
    full.symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"samples.jsonl: can't be written: No space left.*--resume"):
        record(full, 1)


def test_a_failed_write_stops_generation_at_a_later_sample_and_not_at_the_end(tmp_path: Path) -> None:
    full = tmp_path / "samples.jsonl"
    full.symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left"):
        record(full, 100_000_000)


def test_a_bug_in_grading_is_raised_and_not_swallowed(tmp_path: Path) -> None:
    def broken(rows: Sequence[Row]) -> list[Verdict]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Recorder(tmp_path / "s.jsonl", broken) as recorder:
        recorder.put({"id": 1, "point": "p"})


def test_an_interrupted_run_writes_what_had_come(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path / "s.jsonl", 3, KeyboardInterrupt)
    assert len((tmp_path / "s.jsonl").read_text("utf-8").splitlines()) == 3
