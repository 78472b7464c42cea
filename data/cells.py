"""Cells of a row as text: text and numbers alone, never Python's spelling of a list or an object."""

import ast
import json
import warnings
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from data import answers
from data.row import BadRow

Fields = Mapping[str, Any]

_JSON_KINDS = {"dict": "an object", "list": "a list", "tuple": "a list", "bytes": "bytes"}


def has_column(fields: Fields, column: str) -> bool:
    """Whether the row has the column; `reward_model.ground_truth` is a key of the object in `reward_model`."""
    return column in fields or ("." in column and _inner(fields, column) is not None)


def cell(fields: Fields, column: str | None) -> Any:
    """What the row holds in a column, which may be a dotted path; None where it has none."""
    if not column:
        return None
    return fields[column] if column in fields else _inner(fields, column)


def _inner(fields: Fields, path: str) -> Any:
    value: Any = fields
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text_of(value: object, column: str) -> str:
    """Text or a number as text; "" for None. Raises `BadRow`, which names the column, for anything else."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float | Decimal):
        return answers.clean(value)
    kind = type(value).__name__
    raise BadRow(f"column {column!r} holds {_JSON_KINDS.get(kind, kind)} where text is expected")


def text_at(fields: Fields, column: str | None) -> str:
    """The column's `text_of`; "" without a column."""
    return text_of(cell(fields, column), str(column))


def gold_at(fields: Fields, column: str | None) -> str:
    """A gold answer, uncleaned where it is text: one of a list as it is, several as a list with commas.

    Raises `BadRow`, which names the column, for what is neither text, nor number, nor a list of them.
    """
    value = cell(fields, column)
    if isinstance(value, list | tuple):
        return gold_of(value, str(column))
    return text_of(value, str(column))


def gold_of(value: object, column: str) -> str:
    """`answers.clean`; raises `BadRow`, which names the column, for what is no answer."""
    try:
        return answers.clean(value)
    except TypeError as error:
        raise BadRow(f"column {column!r}: {error}") from None


def list_of(value: object) -> list[Any] | None:
    """A list, or the list that a text holds as JSON or as Python wrote it (a CSV can't hold another); None: neither."""
    if isinstance(value, list):
        return value
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # of escapes that Python lacks
                parsed = parse(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return parsed if isinstance(parsed, list) else None
    return None
