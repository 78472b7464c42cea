"""What a reader of an evaluation's figures must know."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from data.problem import Problem
from evaluation.results import Point, accuracy_bounds, questions, repeated_answer
from report.page import percent
from rewards.grading.grade import ungradable

WORTH_SAYING = 0.02  # the share of cut or missing answers from which it is said


def unjudged(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader of the judge's score must know: replies that it gave none."""
    return [
        f"{point['label']}: the judge gave {point['judge']['unjudged']} of {point['samples']} replies no score that "
        "can be read; its mean leaves them out"
        for point in points
        if point["judge"] and point["judge"]["unjudged"]
    ]


def warnings(problems: Sequence[Problem], points: Sequence[Point]) -> list[str]:
    """What a reader of the accuracy must know: gold answers and samples without a verdict, one answer to
    everything, cut and missing answers."""
    messages = []
    if broken := [problem.id for problem in problems if ungradable(problem)]:
        messages.append(
            f"{len(broken)} gold answers can't be parsed, their samples are ungraded: {', '.join(broken[:5])}"
        )
    for point in points:
        samples = point.samples
        reasons = Counter(sample.reason for sample in samples if sample.score is None)
        if (sure := accuracy_bounds(samples)) is not None:
            why = ", ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items()))
            text = f"{point.label}: {sum(reasons.values())} of {len(samples)} samples are ungraded: {why}"
            low, high = percent(sure["low"]), percent(sure["high"])
            messages.append(
                f"{text}; accuracy leaves them out: {low} if all of them are wrong, {high} if all are right"
            )
        if repeated := repeated_answer(samples):
            messages.append(f"{point.label}: {repeated}")
        if missing := len(problems) - len(questions(samples)):
            messages.append(
                f"{point.label}: {missing} of {len(problems)} problems have no answer; accuracy leaves them out"
            )
        cut = sum(sample.is_truncated for sample in samples)
        unanswered = sum(sample.extracted is None for sample in samples)
        if cut > WORTH_SAYING * len(samples):
            messages.append(
                f"{point.label}: {cut} of {len(samples)} answers were cut at max_answer and graded as they are"
            )
        if unanswered > WORTH_SAYING * len(samples):
            messages.append(f"{point.label}: {unanswered} of {len(samples)} samples hold no answer and count as wrong")
    return messages
