"""Text metrics as graders: how near each answer is to its gold text, for replies that are right to a degree."""

from collections.abc import Callable, Sequence

from data.problem import Problem
from rewards.grading.text_metrics.registry import text_metric
from rewards.grading.verdict import Verdict


def nearness(metric: str) -> Callable[[Sequence[Problem], Sequence[str | None], float], list[Verdict]]:
    """The grader whose score is `metric` of each answer alone."""

    def judge(problems: Sequence[Problem], answers: Sequence[str | None], _seconds: float = 0.0) -> list[Verdict]:
        measured = text_metric(metric)
        rows = measured.statistics([answer or "" for answer in answers], [problem.golds for problem in problems])
        pairs = zip(problems, answers, rows, strict=True)
        return [_verdict(metric, problem, answer, measured.value(row)) for problem, answer, row in pairs]

    return judge


def _verdict(metric: str, problem: Problem, answer: str | None, score: float) -> Verdict:
    if not all(gold.strip() for gold in problem.golds):
        return Verdict(None, "no gold answer")
    if answer is None:
        return Verdict(0.0, "no answer")
    return Verdict(score, f"{metric} {100 * score:.1f}")
