"""`reasoning_gym`: a generated problem's own family says what an answer is worth."""

import builtins
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from data.problem import Problem
from rewards.grading.denial import denies_after, denies_before
from rewards.grading.math.too_costly import refusal
from rewards.grading.verdict import Verdict

_RIGHT = 0.99
"""What evaluations of reasoning-gym take as solved."""
_FORM = 0.1
"""Families pay up to this for an answer that is only of the right form (countdown: 0.05); that is no share of it."""
_HARMLESS = {"abs", "divmod", "max", "min", "pow", "round", "sum"}
_BUILTINS = {name for name in vars(builtins) if name.islower() and callable(getattr(builtins, name))} - _HARMLESS
_CODE = re.compile(rf"__\w|\b(?:{'|'.join(sorted(_BUILTINS))})\s*\(|\.\s*[A-Za-z_]\w*\s*\(")
"""A call of a Python function, which a family that evaluates answers (countdown: SymPy's `parse_expr`) would run."""


def grade_reasoning_gym(
    problems: Sequence[Problem], answers: Sequence[str | None], _seconds: float = 0.0
) -> list[Verdict]:
    """The family's score of each answer; `problem.metadata` holds the `family` and the `entry` that it made."""
    return [_verdict(problem, answer) for problem, answer in zip(problems, answers, strict=True)]


def _verdict(problem: Problem, answer: str | None) -> Verdict:
    if answer is None or not answer.strip():
        return Verdict(0.0, "no answer")
    if not {"family", "entry"} <= problem.metadata.keys():
        return Verdict(None, "no family that could score it")
    if _is_denied(problem.answer, answer):
        return Verdict(0.0, "denies the gold answer")
    if reason := _refusal(problem.answer, answer):
        return Verdict(None, reason)
    try:
        score = float(_scorer(problem.metadata["family"])(answer, problem.metadata["entry"]))
    except Exception as error:  # a scorer that can't read what a model wrote has not said that it is wrong
        return Verdict(None, f"scorer failed: {type(error).__name__}")
    return Verdict(_share(score), f"score {score:.2f}", {"family_score": score})


def _refusal(gold: str, answer: str) -> str | None:
    """Why no family may see this answer, or None: some evaluate it, in this process and without a limit of time."""
    if _CODE.search(answer):
        return "refused: calls a Python function"
    return refusal(gold, answer) if re.search(r"\*\*|[\^!]", answer) else None


def _is_denied(gold: str, answer: str) -> bool:
    """Whether the gold answer stands there to be denied alone: a family that searches for it would call that solved."""
    if not gold:
        return False
    found = list(re.finditer(rf"(?<!\w){re.escape(gold)}(?!\w)", answer, re.IGNORECASE))
    return bool(found) and all(denies_before(answer[: at.start()]) or denies_after(answer[at.end() :]) for at in found)


def _share(score: float) -> float:
    """A family's score as a verdict's: 0 for form alone, 1 where it counts as solved."""
    if score <= _FORM:
        return 0.0
    return 1.0 if score >= _RIGHT else score


@cache
def _scorer(family: str) -> Callable[[str, Mapping[str, Any]], float]:
    from reasoning_gym import get_score_answer_fn  # seconds of import, and only for its own problems

    scorer: Callable[[str, Mapping[str, Any]], float] = get_score_answer_fn(family)
    return scorer
