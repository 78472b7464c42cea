"""Rows of benchmarks whose columns say more than one question and one answer each: options, contexts, units."""

import random
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from data.cells import gold_of, list_of, text_at
from data.row import BadRow

Fields = Mapping[str, Any]

_GPQA_OPTIONS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
_GPQA_NAMES = {"id": "Record ID", "question": "Question", "solution": "Explanation"}
_NO_OPTION = "N/A"
"""What early copies of MMLU-Pro fill ten options up with."""


def gpqa_row(fields: Fields) -> dict[str, Any]:
    """GPQA: the right option has a column of its own, so the four are shuffled, by their question alone.

    The order is the same in every run and subset. Raises `BadRow` for a missing option.
    """
    texts = [text_at(fields, column) for column in _GPQA_OPTIONS]
    for column, text in zip(_GPQA_OPTIONS, texts, strict=True):
        if not text:
            raise BadRow(f"no option in column {column!r}; it has {', '.join(fields)}")
    order = list(range(len(texts)))
    random.Random(text_at(fields, "Question")).shuffle(order)
    rest = {key: value for key, value in fields.items() if key not in (*_GPQA_OPTIONS, *_GPQA_NAMES.values())}
    return rest | {
        **{key: fields.get(column) for key, column in _GPQA_NAMES.items()},
        "choices": dict(zip(ascii_uppercase, (texts[at] for at in order), strict=False)),
        "answer": ascii_uppercase[order.index(0)],
    }


def mmlu_pro_row(fields: Fields) -> dict[str, Any]:
    """MMLU-Pro: up to ten options without letters, and the letter of the right one. Raises `BadRow` without options."""
    options = list_of(fields.get("options"))
    if not options:
        raise BadRow(f"no list of options in column 'options'; it has {', '.join(fields)}")
    lettered = zip(ascii_uppercase, options, strict=False)
    rest = {key: value for key, value in fields.items() if key != "options"}
    return {**rest, "choices": {letter: str(text) for letter, text in lettered if text != _NO_OPTION}}


def olympiad_row(fields: Fields) -> dict[str, Any]:
    """OlympiadBench: the context goes before the question, a number's unit behind it; solutions are a list."""
    question = [text_at(fields, "context"), text_at(fields, "question")]
    answer, unit = gold_of(_listed(fields, "final_answer"), "final_answer"), text_at(fields, "unit")
    is_number = fields.get("answer_type") == "Numerical" and str(fields.get("is_multiple_answer")) != "True"
    rest = {key: value for key, value in fields.items() if not key.startswith("image_")}
    return rest | {
        "question": "\n\n".join(filter(None, question)),
        # behind several values, or an expression with variables, a grader can't tell a unit from another variable
        "answer": f"{answer} {unit}" if answer and unit and is_number else answer,
        "solution": "\n\n".join(map(str, _listed(fields, "solution"))),
    }


def _listed(fields: Fields, column: str) -> list[Any]:
    """A column of lists, also as a CSV file writes them; a text is a list of one."""
    found = list_of(fields.get(column))
    return [text_at(fields, column)] if found is None else found
