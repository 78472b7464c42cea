"""`entities`: the gold set of records, one JSON object a line, in any order."""

from collections.abc import Sequence

from data.problem import Problem
from rewards.grading.literal.answer import normal, unfenced
from rewards.grading.literal.json_fields import parsed, spelled
from rewards.grading.literal.terms import missing, overlap
from rewards.grading.verdict import Verdict

TYPE_KEYS = ("entity_label", "entity_type", "label", "type", "类别", "类型")


def grade_entities(problems: Sequence[Problem], answers: Sequence[str | None], _seconds: float = 0.0) -> list[Verdict]:
    """F1 of each answer's records against the gold ones; right where the sets are the same.

    A record is an object, alone on its line, alone in the answer, or in one list of objects; a line that is none counts
    as a wrong record. A gold answer without any (`没有找到任何实体`) is the empty set, and so are the same words and an
    empty list.
    """
    return [_verdict(problem.answer, answer) for problem, answer in zip(problems, answers, strict=True)]


def _verdict(gold: str, answer: str | None) -> Verdict:
    if not normal(gold):
        return Verdict(None, "no gold answer")
    wanted = wanted_records(gold)
    if answer is None:
        return missing(wanted)
    return overlap(wanted, given_records(gold, answer), "entities")


def wanted_records(gold: str) -> set[str]:
    """The gold records as `spelled` has them; none where the gold answer is words for "there is none"."""
    records = _records(gold)
    return records if _has_record(records) else set()


def given_records(gold: str, answer: str) -> set[str]:
    """The answer's records. Words alone are none where the gold answer has some, else unless they are its own words."""
    given = _records(unfenced(answer))
    if wanted_records(gold):
        return given if _has_record(given) else set()
    return given - _records(gold)


def nearest_records(golds: Sequence[str], answer: str) -> tuple[set[str], set[str]]:
    """(gold records, given records) by the gold answer with the best F1, of equal ones the first."""
    sides = [(wanted_records(gold), given_records(gold, answer)) for gold in golds]
    return max(sides, key=lambda side: overlap(side[0], side[1], "entities").score or 0.0)


def _has_record(records: set[str]) -> bool:
    return any(record.startswith(("{", "[{")) for record in records)


def type_of(record: str) -> str:
    """The type that a record names, under one of the usual keys; "" where it names none."""
    value = parsed(record)
    fields = value if isinstance(value, dict) else {}
    return next((str(fields[key]) for key in TYPE_KEYS if key in fields), "")


def _records(text: str) -> set[str]:
    """The records of an answer as `spelled` has them; what is no JSON as it is written."""
    whole = parsed(text)
    if isinstance(whole, list | dict):
        return {spelled(one) for one in (whole if isinstance(whole, list) else [whole])}
    lines = text.split("\n")  # a text in JSON may hold other line breaks, such as U+2028
    values = [(line, parsed(line)) for line in lines if line.strip()]
    return {normal(line) if isinstance(value, ValueError) else spelled(value) for line, value in values}
