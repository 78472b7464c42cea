"""Alarms for a GRPO run: what reward hacking and collapse look like in the completions, step by step.

A step's checks (`rl.symptoms`) each pick the rows that offend; an alarm is raised when they are too many for `patience`
steps in a row, and again only after `repeat` steps. Two checks compare the last steps with earlier ones: format against
accuracy, and length against itself. Every alarm's samples go to `alarms.jsonl` in the run directory.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from configs.errors import RewardError
from configs.run_directory import RunDir, append_jsonl
from report.training import write_training_report
from rewards.composition import BrokenReward, Scores
from rewards.grading.extract import extract
from rewards.rollout import Rollout
from rewards.shipped.correctness import judged
from rl import symptoms

FORMAT_REWARDS = ("strict_format", "soft_format", "xmlcount", "tag_count", "think_format", "integer")
_SAMPLES = 4  # a written alarm's


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
    """Step means: accuracy, format (as a share of its best), completion tokens, and `max_thinking` (0: no limit)."""

    accuracy: list[float] = field(default_factory=list)
    format: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)


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
        verdicts = judged(rollouts)
        found = [
            *_share_alarms(
                rollouts, scores, totals, self._limits, Counter(v.reason for v in verdicts if v.score is None)
            ),
            *self._trend_alarms(rollouts, scores, [verdict.is_right for verdict in verdicts]),
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

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON can hold it."""
        checks = {name: asdict(check) for name, check in self._states.items()}
        return {"checks": checks, "past": asdict(self._past), "best": dict(self._best)}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state()` told, and nothing else; nothing at all if it is empty."""
        self._states = defaultdict(_State, {name: _State(**kept) for name, kept in state.get("checks", {}).items()})
        self._past = _Past(**state.get("past", {}))
        self._best = dict(state.get("best", {}))

    def _is_due(self, alarm: Alarm) -> bool:
        state = self._states[alarm.name]
        if state.failing < self._limits.patience:
            return False
        if state.raised is not None and alarm.step - state.raised < self._limits.repeat:
            return False
        state.raised = alarm.step
        return True

    def _trend_alarms(
        self, rollouts: Sequence[Rollout], scores: Scores, correct: Sequence[bool | None]
    ) -> list[tuple[str, str, tuple[int, ...]]]:
        """Format without accuracy, and collapsing length."""
        self._past.accuracy.append(fmean([bool(right) for right in correct if right is not None] or [0.0]))
        self._past.format.append(self._format_level(scores))
        self._past.tokens.append(fmean([rollout.completion_tokens for rollout in rollouts] or [0]))
        self._past.limits.append(fmean([rollout.max_thinking or 0 for rollout in rollouts] or [0]))
        wrong = tuple(row for row, right in enumerate(correct) if right is False)
        by_length = sorted(range(len(rollouts)), key=lambda row: rollouts[row].completion_tokens)
        return [
            (
                "format_without_accuracy",
                format_without_accuracy(self._past.format, self._past.accuracy, self._limits),
                wrong,
            ),
            ("length_collapse", length_collapse(self._past.tokens, self._limits, self._past.limits), tuple(by_length)),
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


def stop_on(alarms: Sequence[Alarm], on_alarm: Literal["warn", "stop"], run: RunDir) -> None:
    """With `on_alarm: stop`, put the alarms into the run's metrics and report, and raise RewardError for the first."""
    if not alarms or on_alarm != "stop":
        return
    append_jsonl(run / "metrics.jsonl", {"step": alarms[0].step, "alarms": [str(alarm) for alarm in alarms]})
    write_training_report(run.path)
    raise RewardError(
        f"stopped at step {alarms[0].step} by an alarm: {alarms[0]} (samples in {run / 'alarms.jsonl'}); mend the "
        "rewards, or set on_alarm: warn and go on with --resume"
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


def length_collapse(tokens: Sequence[float], limits: Limits, allowed: Sequence[float] = ()) -> str:
    """What is wrong when the last window's mean length is a small share of the first one's; "" if nothing.

    `allowed`: each step's mean `max_thinking`, where 0 is no limit: a schedule that lowers it shortens no model.
    """
    size = limits.window
    if len(tokens) < 2 * size:
        return ""
    first, now = fmean(tokens[:size]), fmean(tokens[-size:])
    at_first, at_last = (fmean(its) if len(its) == size else 0.0 for its in (allowed[:size], allowed[-size:]))
    fallen = min(1.0, at_last / at_first) if at_first and at_last else 1.0
    if now >= limits.collapse * fallen * first:
        return ""
    return f"completions have {now:.0f} tokens on average, {first:.0f} in the first {size} steps"


def _share_alarms(
    rollouts: Sequence[Rollout],
    scores: Scores,
    totals: Sequence[float | None],
    limits: Limits,
    reasons: Counter[str],
) -> list[tuple[str, str, tuple[int, ...]]]:
    """(name, message, rows) of every check on one step alone; the message is "" where nothing is wrong.

    `reasons`: why the grader could not judge answers, and how many each.
    """
    why = ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common(3))
    checks: list[tuple[str, str, float, Callable[[], list[int]]]] = [
        ("empty_answers", "end without an answer", limits.empty, lambda: symptoms.empty_answers(rollouts)),
        (
            "duplicates",
            "are the same text as another one of their group",
            limits.duplicate,
            lambda: symptoms.repeated_texts(rollouts),
        ),
        ("degenerate", "go round in circles", limits.degenerate, lambda: symptoms.degenerate(rollouts)),
        ("several_blocks", "have several answer blocks", limits.blocks, lambda: symptoms.several_blocks(rollouts)),
        ("echo", "answer with the question's own words", limits.echo, lambda: symptoms.echoes(rollouts)),
        ("length_limit", "ran into the length limit", limits.truncated, lambda: symptoms.truncated(rollouts)),
        (
            "unjudged",
            "have a reward that could not be judged" + (f" ({why})" if why else ""),
            limits.unjudged,
            lambda: symptoms.without_score(scores),
        ),
    ]
    share_alarms: list[tuple[str, str, tuple[int, ...]]] = []
    for name, what, limit, check in checks:
        rows = check()
        share = len(rows) / len(rollouts) if rollouts else 0.0
        share_alarms.append(
            (name, f"{share:.0%} of the completions {what}" if share >= limit and rows else "", tuple(rows))
        )
    share, rows = symptoms.zero_variance(rollouts, totals)
    message = (
        f"{share:.0%} of the groups have one reward for all: nothing to learn" if share >= limits.zero_variance else ""
    )
    return [*share_alarms, ("zero_variance", message, tuple(rows))]


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
        "references": rollout.problem.references,
        "extracted": extract(rollout.text, rollout.think_format).answer,
        "completion_tokens": rollout.completion_tokens,
        "truncated": rollout.truncated,
    }


def _append(path: Path, record: dict[str, Any]) -> None:
    line = json.dumps(record, ensure_ascii=True)  # completions may hold lone surrogates
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
