"""The samples of a run: load, keep, append, grade again; and the thread that grades while the engine generates."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from configs.errors import RunError
from configs.run_directory import append_jsonl, keep_jsonl, write_jsonl
from configs.sample import Place, Sample, read_samples
from data.problem import Problem
from rewards.grading.grade import grade_answers

Grade = Callable[[Sequence[Sample]], list[Sample]]
Moved = Callable[[int, int, int], None]
"""Called with (samples done, samples in all, right ones) as samples are graded."""


class SampleStore:
    """A file of samples, a line each."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[Place, Sample]:
        """The samples by their place; of two in one place the later. Raises `RunError` for a damaged line."""
        try:
            return {sample.place: sample for sample in read_samples(self.path)}
        except (ValueError, TypeError) as error:
            raise RunError(f"{self.path}: damaged: {error}; remove the broken line and go on with --resume") from None

    def keep_whole_lines(self) -> None:
        """A line that a kill cut off leaves the file."""
        keep_jsonl(self.path, lambda row: True)

    def append(self, *samples: Sample) -> None:
        """Add samples at the end, flushed to the disk."""
        append_jsonl(self.path, *(sample.to_row() for sample in samples))

    def write(self, samples: Sequence[Sample]) -> None:
        """Replace the whole file."""
        write_jsonl(self.path, (sample.to_row() for sample in samples))

    def regrade(self, samples: Mapping[Place, Sample], problems: Mapping[str, Problem]) -> dict[Place, Sample]:
        """The samples, those graded again whose problem has other gold answers since; the file has them, too."""
        golds = {(problem.id, problem.question): problem.golds for problem in problems.values()}
        changed = [s for s in samples.values() if s.golds != golds.get((s.id, s.question), s.golds)]
        if not changed:
            return dict(samples)
        print(f"grading {len(changed)} samples again: their gold answer has changed")
        asked = [(sample, problems[sample.id]) for sample in changed]
        mended = [replace(sample, gold=problem.answer, references=problem.references) for sample, problem in asked]
        found = {**samples, **{sample.place: sample for sample in grade_samples(mended, problems)}}
        self.write(list(found.values()))
        return found


def grade_samples(samples: Sequence[Sample], problems: Mapping[str, Problem]) -> list[Sample]:
    """The samples with the verdict on what was extracted from each; `problems` by their ids."""
    return judged_samples(samples, [problems[sample.id] for sample in samples])


def judged_samples(samples: Sequence[Sample], problems: Sequence[Problem]) -> list[Sample]:
    """`grade_samples` with the problem of each sample."""
    verdicts = grade_answers(problems, [sample.extracted for sample in samples])
    return [
        replace(sample, score=verdict.score, reason=verdict.reason, parts=dict(verdict.parts))
        for sample, verdict in zip(samples, verdicts, strict=True)
    ]


class GradingThread:
    """A thread that takes samples from `put`, grades what has come since, and appends it to the store.

    `samples` holds those given at the start and those recorded. Leaving the block waits until everything is written.
    Raises `RunError` from `put` or at the end when the file can't be written; what was written before stays.
    """

    def __init__(
        self,
        store: SampleStore,
        grade: Grade,
        samples: Sequence[Sample] = (),
        total: int = 0,
        progress: Moved | None = None,
    ) -> None:
        self.store = store
        self.samples = list(samples)
        self._grade = grade
        self._total = total
        self._progress = progress
        self._queue: queue.SimpleQueue[Sample | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="mull-grading", daemon=True)

    def __enter__(self) -> "GradingThread":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None:
            self._check()

    def put(self, sample: Sample) -> None:
        """Hand over a sample; returns at once."""
        self._check()
        self._queue.put(sample)

    def _check(self) -> None:
        if isinstance(self._error, OSError):
            raise RunError(
                f"{self.store.path}: can't be written: {self._error.strerror}; the samples before are kept: make room "
                "and go on with --resume"
            ) from self._error
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while batch := self._batch():
                graded = self._grade(batch)
                self.store.append(*graded)
                self.samples += graded
                if self._progress is not None:
                    right = sum(sample.is_right is True for sample in self.samples)
                    self._progress(len(self.samples), self._total, right)
        except BaseException as error:
            self._error = error

    def _batch(self) -> list[Sample]:
        """All samples that have come, at least one; empty at the end."""
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        while not self._queue.empty():
            sample = self._queue.get()
            if sample is None:
                self._queue.put(None)  # for the next call
                break
            batch.append(sample)
        return batch
