"""One row of a file: the line it came from, and its fields or what is wrong with it."""

import math
from dataclasses import dataclass
from typing import Any

BYTES_OF_ANOTHER_ENCODING = "bytes of another encoding"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place in the file (line, or number of a row in columns; from 1) and its fields, or what is wrong.

    `lines`: how many lines are lost with a broken row, where what is broken hides the end of it. `prefix`: what its id
    begins with, where several files are read. `reads`: the text of a row in another encoding than its file's.
    """

    line: int
    fields: dict[str, Any]
    error: str | None = None
    lines: int = 1
    prefix: str = ""
    reads: str = ""

    def id_of(self, named: str, stem: str) -> str:
        """The row's id: `named`, which it gives itself, else its line in the file `stem`."""
        if self.prefix:
            return f"{self.prefix}-{named or self.line}"
        return named or f"{stem}-{self.line}"


def lost_rows(line: int, last: int, reason: str) -> Row:
    """A broken row that takes all lines up to `last` with it."""
    return Row(line, {}, reason, last - line + 1)


def is_decoded(text: str) -> bool:
    """Whether all of the text's bytes were characters of its encoding."""
    try:
        return text.isascii() or bool(text.encode())  # faster than a search for what `surrogateescape` left
    except UnicodeEncodeError:
        return False


def finite(value: Any) -> Any:
    """The value without NaN and infinities, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list) else value


class BadRow(ValueError):
    """Why a row can't be used."""
