"""Alarms for a GRPO run: what reward hacking and collapse look like in the completions, step by step.

A step's checks each pick the rows that offend; an alarm is raised when they are too many for `patience` steps in a row,
and again only after `repeat` steps. Two checks compare the last steps with earlier ones: format against accuracy, and
length against itself. Every alarm's samples go to `alarms.jsonl` in the run directory.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from configs.errors import RunError
from rewards.composition import BrokenReward, Scores
from rewards.extract import delimiters, extract
from rewards.families.correctness import is_correct
from rewards.families.repetition import words
from rewards.rollout import Rollout

FORMAT_REWARDS = ("strict_format", "soft_format", "xmlcount", "tag_count", "think_format", "integer")
_SAMPLES = 4  # a written alarm's
_NGRAM, _DEGENERATE_WORDS, _DISTINCT = 4, 40, 0.5  # fewer distinct n-grams than that in as many words: a loop
_QUOTE = 40  # characters of the question that an answer repeats


@dataclass(frozen=True, slots=True)
class Limits:
    """When an alarm is raised: shares of a step's completions (groups, for `zero_variance`), and windows in steps."""

    empty: float = 0.5
    duplicate: float = 0.5
    degenerate: float = 0.25
    blocks: float = 0.1
    echo: float = 0.1
    truncated: float = 0.5
    zero_variance: float = 0.9
    unjudged: float = 0.1
    collapse: float = 0.3
    """Mean length against that of the first window."""
    format_rise: float = 0.1
    """Rise of the format rewards, as a share of their best, that accuracy has to follow at all."""
    window: int = 10
    patience: int = 3
    repeat: int = 50


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm; `rows` are the offending rows of the step's rollouts."""

    step: int
    name: str
    message: str
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(slots=True)
class _State:
    """How long a check has been failing, and when its alarm was last raised."""

    failing: int = 0
    raised: int | None = None


@dataclass(slots=True)
class _Past:
    """Step means: accuracy, format (as a share of its best), completion tokens."""

    accuracy: list[float] = field(default_factory=list)
    format: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)


class Monitor:
    """Watches a run; `observe` each step in order."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        """`path` is the run's `alarms.jsonl`."""
        self._path = path
        self._limits = limits or Limits()
        self._states: defaultdict[str, _State] = defaultdict(_State)
        self._past = _Past()
        self._best: dict[str, float] = {}  # by format reward

    def observe(
        self, step: int, rollouts: Sequence[Rollout], scores: Scores, totals: Sequence[float | None]
    ) -> list[Alarm]:
        """The alarms of one step's completions, written to the file; `totals` are the weighted sums, (N,)."""
        found = [
            *_share_alarms(rollouts, scores, totals, self._limits),
            *self._trend_alarms(rollouts, scores),
        ]
        alarms = [Alarm(step, name, message, rows) for name, message, rows in found if message]
        failing = {alarm.name for alarm in alarms}
        for name, _, _ in found:
            state = self._states[name]
            state.failing = state.failing + 1 if name in failing else 0
        alarms = [alarm for alarm in alarms if self._is_due(alarm)]
        for alarm in alarms:
            _append(self._path, _record(alarm, rollouts, scores))
        return alarms

    def _is_due(self, alarm: Alarm) -> bool:
        state = self._states[alarm.name]
        if state.failing < self._limits.patience:
            return False
        if state.raised is not None and alarm.step - state.raised < self._limits.repeat:
            return False
        state.raised = alarm.step
        return True

    def _trend_alarms(self, rollouts: Sequence[Rollout], scores: Scores) -> list[tuple[str, str, tuple[int, ...]]]:
        """Format without accuracy, and collapsing length."""
        correct = is_correct(rollouts)
        self._past.accuracy.append(fmean([bool(right) for right in correct if right is not None] or [0.0]))
        self._past.format.append(self._format_level(scores))
        self._past.tokens.append(fmean([rollout.completion_tokens for rollout in rollouts] or [0]))
        wrong = tuple(row for row, right in enumerate(correct) if right is False)
        by_length = sorted(range(len(rollouts)), key=lambda row: rollouts[row].completion_tokens)
        return [
            (
                "format_without_accuracy",
                format_without_accuracy(self._past.format, self._past.accuracy, self._limits),
                wrong,
            ),
            ("length_collapse", length_collapse(self._past.tokens, self._limits), tuple(by_length)),
        ]

    def _format_level(self, scores: Scores) -> float:
        """Mean of the format rewards, each as a share of the best score it has given so far."""
        levels: list[float] = []
        for name in FORMAT_REWARDS:
            known = [score for score in scores.get(name, []) if score is not None]
            if known:
                self._best[name] = max(self._best.get(name, 0.0), *known)
                levels.append(max(0.0, fmean(known)) / self._best[name] if self._best[name] > 0 else 0.0)
        return fmean(levels) if levels else 0.0


def stop_on(alarms: Sequence[Alarm], on_alarm: Literal["warn", "stop"], path: Path) -> None:
    """With `on_alarm: stop`, raise RunError for the first alarm."""
    if alarms and on_alarm == "stop":
        raise RunError(
            f"stopped at step {alarms[0].step} by an alarm: {alarms[0]} (samples in {path}); mend the rewards, or set "
            "on_alarm: warn and go on with --resume"
        )


def write_failure(path: Path, step: int, failure: BrokenReward) -> None:
    """Append the sample that broke a reward to the run's `alarms.jsonl`."""
    samples = [] if failure.rollout is None else [_sample(failure.rollout)]
    _append(path, {"step": step, "alarm": "broken_reward", "message": str(failure), "samples": samples})


def format_without_accuracy(levels: Sequence[float], accuracy: Sequence[float], limits: Limits) -> str:
    """What is wrong when the last window's format rose over the window before and accuracy did not; "" if nothing."""
    size = limits.window
    if len(levels) < 2 * size:
        return ""
    rise = fmean(levels[-size:]) - fmean(levels[-2 * size : -size])
    before, now = fmean(accuracy[-2 * size : -size]), fmean(accuracy[-size:])
    if rise < limits.format_rise or now > before:
        return ""
    return (
        f"format rewards rose by {rise:.0%} of their best in {size} steps, accuracy went from {before:.1%} to {now:.1%}"
    )


def length_collapse(tokens: Sequence[float], limits: Limits) -> str:
    """What is wrong when the last window's mean length is a small share of the first one's; "" if nothing."""
    size = limits.window
    if len(tokens) < 2 * size:
        return ""
    first, now = fmean(tokens[:size]), fmean(tokens[-size:])
    if now >= limits.collapse * first:
        return ""
    return f"completions have {now:.0f} tokens on average, {first:.0f} in the first {size} steps"


def empty_answers(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows that ended by themselves without an answer."""
    return [
        row
        for row, rollout in enumerate(rollouts)
        if not rollout.truncated and not extract(rollout.text, rollout.think_format).answer
    ]


def duplicates(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows whose whole text another row of the same problem has too."""
    counts = Counter((rollout.problem.id, rollout.text) for rollout in rollouts)
    return [row for row, rollout in enumerate(rollouts) if counts[rollout.problem.id, rollout.text] > 1]


def degenerate(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows that go round in circles: long texts with few distinct n-grams of words."""
    return [row for row, rollout in enumerate(rollouts) if _loops(words(rollout.text))]


def several_blocks(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows with more than one answer block."""
    return [
        row
        for row, rollout in enumerate(rollouts)
        if any(rollout.text.count(mark) > 1 for mark in delimiters(rollout.think_format)[1:])
    ]


def echoes(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows whose answer repeats a stretch of the question."""
    return [
        row
        for row, rollout in enumerate(rollouts)
        if _repeats(extract(rollout.text, rollout.think_format).answer or "", rollout.problem.question)
    ]


def unjudged(scores: Scores) -> list[int]:
    """Rows with a None in any column."""
    return [row for row, values in enumerate(zip(*scores.values(), strict=True)) if None in values]


def zero_variance(rollouts: Sequence[Rollout], totals: Sequence[float | None]) -> tuple[float, list[int]]:
    """(share of groups, rows of them) in which all completions of a problem have one total; single rows don't count."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, rollout in enumerate(rollouts):
        groups[rollout.problem.id].append(row)
    compared = [rows for rows in groups.values() if len(rows) > 1]
    flat = [rows for rows in compared if len({totals[row] for row in rows}) == 1]
    return (len(flat) / len(compared) if compared else 0.0), [row for rows in flat for row in rows]


def _share_alarms(
    rollouts: Sequence[Rollout], scores: Scores, totals: Sequence[float | None], limits: Limits
) -> list[tuple[str, str, tuple[int, ...]]]:
    """(name, message, rows) of every check on one step alone; the message is "" where nothing is wrong."""
    checks: list[tuple[str, str, float, Callable[[], list[int]]]] = [
        ("empty_answers", "end without an answer", limits.empty, lambda: empty_answers(rollouts)),
        (
            "duplicates",
            "are the same text as another one of their group",
            limits.duplicate,
            lambda: duplicates(rollouts),
        ),
        ("degenerate", "go round in circles", limits.degenerate, lambda: degenerate(rollouts)),
        ("several_blocks", "have several answer blocks", limits.blocks, lambda: several_blocks(rollouts)),
        ("echo", "answer with the question's own words", limits.echo, lambda: echoes(rollouts)),
        ("length_limit", "ran into the length limit", limits.truncated, lambda: _truncated(rollouts)),
        ("unjudged", "have a reward that could not be judged", limits.unjudged, lambda: unjudged(scores)),
    ]
    found: list[tuple[str, str, tuple[int, ...]]] = []
    for name, what, limit, check in checks:
        rows = check()
        share = len(rows) / len(rollouts) if rollouts else 0.0
        found.append((name, f"{share:.0%} of the completions {what}" if share >= limit and rows else "", tuple(rows)))
    share, rows = zero_variance(rollouts, totals)
    message = (
        f"{share:.0%} of the groups have one reward for all: nothing to learn" if share >= limits.zero_variance else ""
    )
    return [*found, ("zero_variance", message, tuple(rows))]


def _truncated(rollouts: Sequence[Rollout]) -> list[int]:
    return [row for row, rollout in enumerate(rollouts) if rollout.truncated]


def _loops(text: list[str]) -> bool:
    if len(text) < _DEGENERATE_WORDS:
        return False
    ngrams = list(zip(*(text[start:] for start in range(_NGRAM)), strict=False))
    return len(set(ngrams)) < _DISTINCT * len(ngrams)


def _repeats(answer: str, question: str) -> bool:
    """Whether `answer` holds any stretch of `_QUOTE` characters of `question`."""
    answer, question = " ".join(answer.lower().split()), " ".join(question.lower().split())
    if len(answer) < _QUOTE or len(question) < _QUOTE:
        return False
    return any(question[start : start + _QUOTE] in answer for start in range(0, len(question) - _QUOTE + 1, 5))


def _record(alarm: Alarm, rollouts: Sequence[Rollout], scores: Scores) -> dict[str, Any]:
    samples = [
        _sample(rollouts[row]) | {"rewards": {name: column[row] for name, column in scores.items()}}
        for row in alarm.rows[:_SAMPLES]
    ]
    return {"step": alarm.step, "alarm": alarm.name, "message": alarm.message, "samples": samples}


def _sample(rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.problem.id,
        "question": rollout.problem.question,
        "text": rollout.text,
        "gold": rollout.problem.answer,
        "extracted": extract(rollout.text, rollout.think_format).answer,
        "completion_tokens": rollout.completion_tokens,
        "truncated": rollout.truncated,
    }


def _append(path: Path, record: dict[str, Any]) -> None:
    line = json.dumps(record, ensure_ascii=True)  # completions may hold lone surrogates
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
