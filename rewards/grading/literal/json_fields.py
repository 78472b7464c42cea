"""`json`: the share of a gold JSON object's fields that an answer has right."""

import json
from collections.abc import Sequence
from typing import Any

from data.problem import Problem
from rewards.grading.literal.answer import normal, unfenced
from rewards.grading.verdict import Verdict


def grade_json(problems: Sequence[Problem], answers: Sequence[str | None], _seconds: float = 0.0) -> list[Verdict]:
    """The share of fields that are right, of those that the gold object or the answer has.

    `parts` holds 1 or 0 for each gold field, 0 for all where the answer is no JSON object. Texts are compared as `text`
    compares them, numbers by value, lists in order, objects field by field.
    """
    return [_verdict(problem.answer, answer) for problem, answer in zip(problems, answers, strict=True)]


def _verdict(gold: str, answer: str | None) -> Verdict:
    # 1. both as objects
    wanted = parsed(gold)
    if not isinstance(wanted, dict) or not wanted:
        return Verdict(None, "the gold answer is no JSON object with fields")
    none = dict.fromkeys(wanted, 0.0)
    if answer is None:
        return Verdict(0.0, "no answer", none)
    given = parsed(unfenced(answer))
    if isinstance(given, ValueError):
        return Verdict(0.0, f"not JSON: {given}", none)
    if not isinstance(given, dict):
        return Verdict(0.0, "JSON, but no object", none)
    # 2. field by field
    parts = {key: float(key in given and spelled(given[key]) == spelled(value)) for key, value in wanted.items()}
    missing = [key for key in wanted if key not in given]
    extra = [key for key in given if key not in wanted]
    wrong = [key for key in wanted if key in given and not parts[key]]
    faults = [
        f"{fault}: {', '.join(keys)}"
        for fault, keys in (("missing", missing), ("not asked for", extra), ("wrong", wrong))
        if keys
    ]
    return Verdict(sum(parts.values()) / (len(parts) + len(extra)), "; ".join(faults) or "every field", parts)


def parsed(text: str) -> Any:
    """The JSON value in `text`, its texts and keys normalised, or the `ValueError` that says where it is broken."""
    try:
        return _normalised(json.loads(text, object_pairs_hook=_object, parse_constant=_no_value))
    except RecursionError:
        return ValueError("nested too deeply")
    except ValueError as error:
        return error


def spelled(value: Any) -> str:
    """A parsed value as text that is the same for equal ones: no order of keys, 1.0 as 1; but true is not 1."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that comes twice is an error, as neither of its values is the answer."""
    found = {normal(key): value for key, value in pairs}
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_value(word: str) -> None:
    """NaN and the infinities, which Python reads and RFC 8259 §6 does not have."""
    raise ValueError(f"{word} is no value")


def _normalised(value: Any) -> Any:
    if isinstance(value, str):
        return normal(value)
    if isinstance(value, list):
        return [_normalised(one) for one in value]
    if isinstance(value, dict):
        return {key: _normalised(one) for key, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
