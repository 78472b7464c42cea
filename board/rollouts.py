"""The completions that the board shows of a run: those of a step, or the newest that fit a filter."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from board.folder import Folder
from board.row_file import Row, newest_rows, rows_of_step, step_bounds
from configs.errors import RunError
from configs.run_record import read_record
from configs.sample import Sample
from data.think_format import S1, ThinkFormat
from report.evaluation import shown_samples
from report.samples import ShownSample, cut
from report.training import shown_rollouts

FILES = ("rollouts.jsonl", "samples.jsonl", "heldout_after.jsonl", "heldout_before.jsonl")
"""Where completions are, the first that is there."""
MOST_SHOWN = 200
MOST_READ = 20_000
"""So many rows are looked at for those that fit a filter; a filter that fits none reads no more."""
VERDICTS = {"right": True, "wrong": False, "unjudged": None}
"""What a filter calls a verdict."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which completions are shown.

    `step`: of that step alone; None: the newest. `verdicts` and `is_cut` leave out others, empty and False leave out
    none; `lowest` and `highest` bound the reward.
    """

    step: int | None = None
    verdicts: frozenset[str] = frozenset()
    is_cut: bool = False
    lowest: float | None = None
    highest: float | None = None

    def fits(self, sample: Sample) -> bool:
        """Whether a filter leaves the sample in."""
        reward = sample.reward if sample.reward is not None else sample.score
        return (
            (not self.verdicts or sample.is_right in {VERDICTS[name] for name in self.verdicts})
            and (not self.is_cut or sample.is_truncated)
            and (self.lowest is None or (reward is not None and reward >= self.lowest))
            and (self.highest is None or (reward is not None and reward <= self.highest))
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """What was found: the samples, the file's name, its first and last step (None: it has none), damaged rows."""

    samples: Sequence[ShownSample]
    source: str
    steps: tuple[int, int] | None
    looked_at: int
    damaged: int


def samples_file(folder: Folder, run: Path) -> Path | None:
    """The run's file of completions; None where there is none yet."""
    return next((run / name for name in FILES if folder.holds(run / name)), None)


def shown(folder: Folder, run: Path, wanted: Wanted) -> Shown:
    """At most 200 completions, newest first, those of one question together. Raises `OSError` and `RunError`."""
    file = samples_file(folder, run)
    if file is None:
        return Shown((), FILES[0], None, 0, 0)
    steps = step_bounds(file)
    if wanted.step is None:
        rows: Iterator[Row] = newest_rows(file, MOST_READ)
    else:
        rows = iter(rows_of_step(file, wanted.step, MOST_READ))
    found, looked_at, damaged = _fitting(rows, wanted.fits)
    if steps is None:
        return Shown(shown_samples(found, {}, {s.point: s.point for s in found}), file.name, None, looked_at, damaged)
    think_format = think_format_of(run)
    spans = [cut(s.text, s.forced, s.prefilled, answer_start(s, think_format), s.tool_results) for s in found]
    shown_ones = [replace(one, spans=pieces) for one, pieces in zip(shown_rollouts(found), spans, strict=True)]
    return Shown(shown_ones, file.name, steps, looked_at, damaged)


def _fitting(rows: Iterator[Row], fits: Callable[[Sample], bool]) -> tuple[list[Sample], int, int]:
    """(samples that fit, rows looked at, rows that hold no sample)."""
    found: list[Sample] = []
    looked_at = damaged = 0
    for row in rows:
        looked_at += 1
        try:
            sample = checked(Sample.from_row(row))
        except (ValueError, TypeError):
            damaged += 1
            continue
        if fits(sample):
            found.append(sample)
        if len(found) == MOST_SHOWN:
            break
    return found, looked_at, damaged


def checked(sample: Sample) -> Sample:
    """The sample, if its fields are of their types. Raises `ValueError`: the file may be of any make."""
    texts = (sample.id, sample.point, sample.question, sample.gold, sample.text, sample.reason, sample.prompt)
    if not isinstance(sample.rewards, Mapping) or not isinstance(sample.parts, Mapping):
        raise ValueError("not a sample: rewards or parts without names")
    numbers = (sample.score, sample.reward, sample.advantage, *sample.rewards.values())
    sound = (
        all(isinstance(text, str) for text in (*texts, *sample.references))
        and all(number is None or isinstance(number, int | float) for number in numbers)
        and all(isinstance(edge, int) for ends in (*sample.forced, *sample.tool_results) for edge in ends)
        and isinstance(sample.extracted, str | None)
        and isinstance(sample.prefilled, int)
    )
    if not sound:
        raise ValueError("not a sample: a field of another type")
    return sample


def think_format_of(run: Path) -> ThinkFormat:
    """The run's think format; s1 where its record names none."""
    try:
        record = read_record(run)
        return ThinkFormat.from_fields(record.think_format) if record and record.think_format else S1
    except (RunError, TypeError, KeyError):
        return S1


def answer_start(sample: Sample, think_format: ThinkFormat) -> int | None:
    """Where the answer begins in the text; None where the thinking has no end."""
    parts = think_format.split(sample.text[sample.turn_start :])
    at = sample.text.rfind(parts.answer) if parts.answer.strip() else -1
    return at if at > 0 else None
