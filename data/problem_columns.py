"""The question and the gold answer in a row of problems, and what is wrong where they can't be had."""

import logging
from collections.abc import Sequence

from data.cells import cell, text_at
from data.header import without_header
from data.messages import messages_in, read_message
from data.problem import Problem
from data.row import BadRow, Row

log = logging.getLogger("mull.data")

NO_ANSWER = "no answer"
"""How the reason of a row without an answer begins."""
SHOWN = 3
"""Questions with several answers that a warning names."""


def question_in(row: Row, column: str) -> tuple[str, str]:
    """(question, system message): text, or a prompt of one user's message, and a system message before it.

    Raises `BadRow` for no question, and for a prompt of several turns.
    """
    messages, system = messages_in(cell(row.fields, column)), ""
    if messages is None:
        question = text_at(row.fields, column)
    else:
        turns = [read_message(entry) for entry in messages]
        if turns[0].role == "system":
            system = turns.pop(0).text
        if [turn.role for turn in turns] != ["user"]:
            raise BadRow(f"column {column!r} holds {len(turns)} turns; a problem is one message of the user")
        question = turns[0].text
    if not question:
        raise BadRow(f"no question in column {column!r} {_way_out('question', column, row)}")
    return question, system


def _way_out(key: str, column: str, row: Row) -> str:
    has = "" if column in row.fields else f"; it has {', '.join(row.fields)}{without_header(list(row.fields))}"
    return f"(another: data.fields.{key}=COLUMN){has}"


def why_unanswered(row: Row, column: str) -> str:
    """The reason of a row without an answer: there is nothing in its column, or nothing that can be read as one."""
    value = cell(row.fields, column)
    if isinstance(value, str) and value.strip():
        column = f"{column!r}, which ends with {value.strip()[-30:]!r}"
        return f"{NO_ANSWER} can be read from column {column} (another: data.fields.answer=COLUMN)"
    return f"{NO_ANSWER} in column {column!r} {_way_out('answer', column, row)}"


def warn_of_two_golds(origin: str, problems: Sequence[Problem]) -> None:
    """Log which questions come with different answers; options, which tell questions apart, are not looked at."""
    golds: dict[str, dict[str, str]] = {}
    for problem in problems:
        if not problem.metadata.keys() & {"choices", "options", "A"}:
            question = " ".join(problem.question.casefold().split())
            golds.setdefault(question, {}).setdefault(problem.answer, problem.id)
    several = [answers for answers in golds.values() if len(answers) > 1]
    if several:
        shown = "; ".join(", ".join(f"{id} ({gold})" for gold, id in answers.items()) for answers in several[:SHOWN])
        more = f"; and {len(several) - SHOWN} more" if len(several) > SHOWN else ""
        log.warning("%s: the same question with different answers: %s%s; keep the right one", origin, shown, more)
