"""Verdicts on samples: right, wrong, or not to be judged, with a reason each."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from data.problem import Problem
from report.latex import BARE, to_mathml
from rewards.grading.math_equivalence import judge_many
from rewards.grading.multiple_choice import chosen, options
from rewards.grading.verdict import Verdict

Row = Mapping[str, Any]
BRACE = re.compile(r"\\.|[{}]")


def grade(rows: Sequence[Row], problems: Mapping[str, Problem]) -> list[Verdict]:
    """Verdicts on rows: by the option chosen, by the family's own score, or by equivalence with the gold answer."""
    special = [_special(row["extracted"], problems[row["id"]]) for row in rows]
    rest = [row for row, verdict in zip(rows, special, strict=True) if verdict is None]
    found = judge_many([row["gold"] for row in rest], [row["extracted"] for row in rest])
    judged = iter([Verdict(equivalence.correct, equivalence.reason) for equivalence in found])
    return [next(judged) if verdict is None else verdict for verdict in special]


def mark(rows: Sequence[dict[str, Any]], problems: Mapping[str, Problem]) -> None:
    """Put each row's verdict, and the reason for it, into the row."""
    for row, verdict in zip(rows, grade(rows, problems), strict=True):
        row |= {"verdict": verdict.correct, "reason": verdict.reason}


def _special(answer: str | None, problem: Problem) -> Verdict | None:
    """The verdict where equivalence with the gold answer is not the question; None where it is."""
    if choices := options(problem.metadata):
        label = chosen(answer or "", choices)
        return Verdict(label == problem.answer, f"option {label}" if label else "no option")
    if _has_scorer(problem):
        return _family_score(answer, problem)
    return Verdict(None, "gold answer can't be parsed") if ungradable(problem) else None


def ungradable(problem: Problem) -> bool:
    """Whether its samples have no verdict because its gold answer can't be parsed and nothing else judges them."""
    return not options(problem.metadata) and not _has_scorer(problem) and is_broken(problem.answer)


def _has_scorer(problem: Problem) -> bool:
    return "entry" in problem.metadata and "family" in problem.metadata


def _family_score(answer: str | None, problem: Problem) -> Verdict:
    from reasoning_gym import get_score_answer_fn

    if answer is None:
        return Verdict(False, "no answer")
    try:
        score = get_score_answer_fn(problem.metadata["family"])(answer, problem.metadata["entry"])
    except Exception as error:  # a family's scorer reads what a model wrote: what it can't read is ungraded, not wrong
        return Verdict(None, f"scorer failed: {type(error).__name__}")
    return Verdict(score >= 0.99, f"score {score:.2f}")


def is_broken(gold: str) -> bool:
    """Whether a gold answer is LaTeX that can't be parsed (a brace left open), so that nothing can equal it."""
    if BARE.search(gold) is None:
        return False
    braces = [brace[-1] for brace in BRACE.findall(gold) if not brace.startswith("\\")]
    return braces.count("{") != braces.count("}") or to_mathml(gold) is None
