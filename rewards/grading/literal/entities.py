"""`entities`: the gold set of records, one JSON object a line, in any order."""

from collections.abc import Sequence

from data.problem import Problem
from rewards.grading.literal.answer import normal, unfenced
from rewards.grading.literal.json_fields import parsed, spelled
from rewards.grading.literal.terms import overlap
from rewards.grading.verdict import Verdict


def grade_entities(problems: Sequence[Problem], answers: Sequence[str | None], _seconds: float = 0.0) -> list[Verdict]:
    """F1 of each answer's records against the gold ones; right where the sets are the same.

    A record is an object, alone on its line or in one list of objects; a line that is none counts as a wrong record. A
    gold answer without any (`没有找到任何实体`) is the empty set, which the same words answer, and an empty list.
    """
    return [_verdict(problem.answer, answer) for problem, answer in zip(problems, answers, strict=True)]


def _verdict(gold: str, answer: str | None) -> Verdict:
    if not normal(gold):
        return Verdict(None, "no gold answer")
    if answer is None:
        return Verdict(0.0, "no answer")
    wanted, given = _records(gold), _records(unfenced(answer))
    if not any(record.startswith("{") for record in wanted):  # words for "there is none"
        return overlap(set(), given - wanted, "entities")
    return overlap(wanted, given, "entities")


def _records(text: str) -> set[str]:
    """The records of an answer as `spelled` has them; what is no JSON as it is written."""
    whole = parsed(text)
    if isinstance(whole, list):
        return {spelled(one) for one in whole}
    values = [(line, parsed(line)) for line in text.splitlines() if line.strip()]
    return {normal(line) if isinstance(value, ValueError) else spelled(value) for line, value in values}
