"""Grades samples and appends them to a file while the engine goes on generating."""

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from configs.errors import RunError
from configs.run_directory import append_jsonl
from rewards.grading.verdict import Verdict

Row = dict[str, Any]


class Recorder:
    """A thread that takes rows from `put`, grades what has come since, and appends it to `path`, flushed to the disk.

    `rows` holds the rows given at the start and those recorded. Leaving the block waits until everything is written.
    Raises `RunError` from `put` or at the end when the file can't be written; what was written before stays.
    """

    def __init__(
        self,
        path: Path,
        grade: Callable[[Sequence[Row]], Sequence[Verdict]],
        rows: Sequence[Row] = (),
        total: int = 0,
        progress: Callable[[str, int, int, int], None] | None = None,
    ) -> None:
        self.path = path
        self.rows = list(rows)
        self._grade = grade
        self._total = total
        self._progress = progress
        self._queue: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="mull-recorder", daemon=True)

    def __enter__(self) -> "Recorder":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None:
            self._check()

    def put(self, row: Row) -> None:
        """Hand over a row; returns at once."""
        self._check()
        self._queue.put(row)

    def _check(self) -> None:
        if isinstance(self._error, OSError):
            raise RunError(
                f"{self.path}: can't be written: {self._error.strerror}; the samples before are kept: make room and go "
                "on with --resume"
            ) from self._error
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while batch := self._batch():
                for row, verdict in zip(batch, self._grade(batch), strict=True):
                    row["verdict"], row["reason"] = verdict.is_right, verdict.reason
                append_jsonl(self.path, *batch)
                self.rows += batch
                if self._progress is not None:
                    right = sum(row["verdict"] is True for row in self.rows)
                    self._progress(batch[0]["point"], len(self.rows), self._total, right)
        except BaseException as error:
            self._error = error

    def _batch(self) -> list[Row]:
        """All rows that have come, at least one; empty at the end."""
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        while not self._queue.empty():
            row = self._queue.get()
            if row is None:
                self._queue.put(None)  # for the next call
                break
            batch.append(row)
        return batch
