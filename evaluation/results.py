"""Samples → the points of `results.json`; no I/O, no clock, so that equal samples give equal bytes.

A sample that could not be graded counts in no accuracy; its share stands beside it, with the accuracy that there would
be if all such samples were wrong, and if all were right. An answer that is missing is wrong.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from configs.sample import Sample
from evaluation import metrics
from evaluation.votes import ballot_of
from evaluation.width_depth import width_depth
from report.page import percent

STEP_TOKENS = 100  # of a step in a prompt that limits steps (arXiv 2501.19393 §3.1)
SHARES: dict[str, Callable[[Sample], bool]] = {
    "natural": lambda sample: sample.stop == "natural",
    "waited": lambda sample: str(sample.stop).startswith("waited"),
    "stopped": lambda sample: str(sample.stop).startswith(("agreed", "confident")),
    "limited": lambda sample: sample.stop in ("limit", "context"),
    "truncated": lambda sample: sample.is_truncated,
    "unanswered": lambda sample: sample.extracted is None,
    "ungraded": lambda sample: sample.score is None,
}
"""How the thinking ended, whether the answer was cut, whether it is missing, and whether it could not be graded."""

MOST_UNGRADED = 0.05
"""The share of ungraded samples above which an accuracy says little."""
REPEATED, FEW_ANSWERS = 0.8, 10
"""From this share on one answer is what a model says to everything, where there are so many answers."""


def questions(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Samples by problem id, in order of first sight, by their number."""
    grouped: dict[str, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(sample.id, []).append(sample)
    return {id: sorted(its, key=lambda sample: sample.sample) for id, its in grouped.items()}


def scores(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """1 or 0 for each graded sample of each question that has one."""
    graded = {
        id: [float(sample.is_right) for sample in its if sample.is_right is not None]
        for id, its in questions(samples).items()
    }
    return {id: its for id, its in graded.items() if its}


def accuracy_bounds(samples: Sequence[Sample]) -> dict[str, float] | None:
    """avg@k if every ungraded sample were wrong (`low`), and if all were right (`high`); None where all are graded."""
    if not samples or all(sample.score is not None for sample in samples):
        return None
    least, most = (
        fmean(fmean(ungraded if s.is_right is None else s.is_right for s in its) for its in questions(samples).values())
        for ungraded in (0.0, 1.0)
    )
    return {"low": least, "high": most}


def constant_answer(samples: Sequence[Sample]) -> dict[str, Any] | None:
    """The most frequent gold answer, and the share of questions that it alone would answer right; None without any."""
    asked = questions(samples)
    golds = Counter(gold for its in asked.values() for gold in its[0].golds)
    if not golds:
        return None
    answer, count = golds.most_common(1)[0]
    return {"answer": answer, "accuracy": count / len(asked)}


def repeated_answer(samples: Sequence[Sample]) -> str | None:
    """What to say where nearly all answers are the same one, and the gold answers are not: the model has collapsed."""
    given = Counter(sample.extracted for sample in samples if sample.extracted is not None)
    constant = constant_answer(samples)
    if constant is None or given.total() < FEW_ANSWERS:
        return None
    answer, count = given.most_common(1)[0]
    if count < REPEATED * given.total() or constant["accuracy"] >= REPEATED:
        return None
    return (
        f"{count} of {given.total()} answers are {answer[:40]!r}; always answering {constant['answer'][:40]!r} would "
        f"be right on {percent(constant['accuracy'])}"
    )


def is_mostly_graded(point: Mapping[str, Any]) -> bool:
    """Whether enough of a point's samples (a row of `results`) have a verdict for its accuracy to mean something."""
    return bool(point.get("shares", {}).get("ungraded", 0.0) <= MOST_UNGRADED)


@dataclass(frozen=True, slots=True)
class Point:
    """One budget of a sweep: its name, its fields, and its samples."""

    label: str
    budget: Mapping[str, Any]
    samples: Sequence[Sample]


def results(points: Sequence[Point], seed: int = 0) -> dict[str, Any]:
    """The points, and over them s1's Control, Scaling (accuracy per thinking token), Performance, and width or depth.

    What rejection sampling threw away is in no sample's tokens: its points are left out of width or depth.
    """
    table = [summary(point, seed) for point in points]
    counted = {point.label: questions(point.samples) for point in points if point.budget.get("tries", 1) == 1}
    return {"points": table, **_sweep(table, points), "width_depth": width_depth(counted, seed)}


def summary(point: Point, seed: int = 0) -> dict[str, Any]:
    """Everything that is said of one point's samples, as JSON values; None where nothing is known."""
    samples = point.samples
    its = scores(samples)
    thinking = [sample.thinking_tokens for sample in samples if sample.thinking_tokens is not None]
    answer = [sample.answer_tokens for sample in samples if sample.answer_tokens is not None]
    return {
        "label": point.label,
        "budget": dict(point.budget),
        "questions": len(questions(samples)),
        "samples": len(samples),
        "accuracy": _dict(metrics.accuracy(list(its.values()), seed=seed)) if its else None,
        "accuracy_bounds": accuracy_bounds(samples),
        "constant_answer": constant_answer(samples),
        "pass_at_k": pass_at(its, seed),
        "maj_at_k": majority_at(samples, seed),
        "thinking_tokens": metrics.token_summary(thinking) if thinking else None,
        "probe_tokens": sum(sample.probe_tokens for sample in samples) / len(samples) if samples else 0.0,
        "answer_tokens": metrics.token_summary(answer) if answer else None,
        "shares": {name: sum(map(holds, samples)) / len(samples) for name, holds in SHARES.items()} if samples else {},
        "ungraded_reasons": dict(sorted(Counter(sample.reason for sample in samples if sample.score is None).items())),
        "control": metrics.control(thinking, *_bounds(point.budget)) if thinking else None,
    }


def _bounds(budget: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Least and most thinking tokens that a point asks for, by its budget or in its prompt."""
    limits = [budget.get("max_thinking")]
    if budget.get("target"):
        limits.append(budget["target"] * (STEP_TOKENS if budget["prompt"] == "steps" else 1))
    return budget.get("min_thinking") or None, min((limit for limit in limits if limit is not None), default=None)


def pass_at(its: Mapping[str, Sequence[float]], seed: int = 0) -> dict[str, Any]:
    """pass@k for k = 1, 2, 4, … and the number of samples, over the questions that have so many graded ones."""
    most = max((len(samples) for samples in its.values()), default=0)
    found = {}
    for k in metrics.doubling(most):
        chances = [[metrics.pass_at_k(len(s), round(sum(s)), k)] for s in its.values() if len(s) >= k]
        found[str(k)] = _dict(metrics.accuracy(chances, seed=seed))
    return found


def majority_at(samples: Sequence[Sample], seed: int = 0) -> dict[str, Any] | None:
    """maj@k over all samples: a tie goes to the answer seen first, and (`ties_unbroken`) to nobody, which is wrong.

    Right spellings of the gold answer vote as one; wrong answers vote as they were extracted. A question whose winner
    could not be graded is left out. None without any question.
    """
    broken, unbroken = [], []
    samples_most = 0
    for its in questions(samples).values():
        ballot = ballot_of(its)
        winner = metrics.majority(ballot.answers)
        right = False if winner is None else ballot.verdicts[winner]
        if right is None:
            continue
        samples_most = max(samples_most, len(its))
        broken.append([float(right)])
        unbroken.append([float(right and metrics.majority(ballot.answers, ties="none") is not None)])
    if not broken:
        return None
    return {
        "k": samples_most,
        **_dict(metrics.accuracy(broken, seed=seed)),
        "ties_unbroken": _dict(metrics.accuracy(unbroken, seed=seed)),
    }


def _sweep(table: Sequence[Mapping[str, Any]], points: Sequence[Point]) -> dict[str, float | None]:
    tokens: list[float] = []
    low: list[float] = []
    high: list[float] = []
    for point in points:
        least, most = _bounds(point.budget)
        thinking = [sample.thinking_tokens for sample in point.samples if sample.thinking_tokens is not None]
        tokens += thinking
        low += [least or 0] * len(thinking)
        high += [math.inf if most is None else most] * len(thinking)
    known = [
        (one["thinking_tokens"]["mean"], one["accuracy"]["value"])
        for one in table
        if one["thinking_tokens"] and one["accuracy"]
    ]
    return {
        "control": metrics.control(tokens, low, high) if tokens else None,
        "scaling": metrics.scaling(known),
        "performance": max((one["accuracy"]["value"] for one in table if one["accuracy"]), default=None),
    }


def _dict(interval: metrics.Interval) -> dict[str, float]:
    return interval.as_dict()
