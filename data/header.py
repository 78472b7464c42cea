"""The header of a table, and columns without one: `column_0`, `column_1`, …."""

import re
from collections.abc import Collection, Sequence

BY_NUMBER = "; without a header they are column_0, column_1, …"
"""The end of a message about columns that are not there."""

_NUMBERED = re.compile(r"column_\d+")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*%?")
_LONG = 40
_SENTENCE_END = tuple("。？！?!；")


def names_columns(first: Sequence[str], asked: Collection[str]) -> bool:
    """Whether a table's first row is its header: not where a recipe asks for numbered columns, and it names none."""
    numbered = {name for name in asked if _NUMBERED.fullmatch(name)}
    return not numbered or not numbered.isdisjoint(first)


def numbered_columns(width: int) -> list[str]:
    """The names of so many columns without a header."""
    return [f"column_{i}" for i in range(width)]


def looks_like_data(columns: Sequence[str]) -> bool:
    """Whether a header holds numbers, long texts or sentences, and so is a row; pandas numbers columns 0, 1, …."""
    if list(columns) == [str(i) for i in range(len(columns))]:
        return False
    return any(
        _NUMBER.fullmatch(name) or len(name) > _LONG or name.endswith(_SENTENCE_END) for name in map(str.strip, columns)
    )


def without_header(columns: Sequence[str]) -> str:
    """The end of a message about columns that are not there, where the first row seems to have become the header."""
    return f"; the first row looks like data{BY_NUMBER}" if looks_like_data(columns) else ""
