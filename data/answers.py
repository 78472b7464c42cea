"""Gold answers as data sets write them, made clean."""

import json
import math
import re
from decimal import Decimal

from data.boxed import last_boxed

_GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def after_hashes(text: str) -> str | None:
    """GSM8K: what follows the last `####`, without thousands separators or a leading `$`; None if there is none."""
    _, hashes, tail = text.rpartition("####")
    return _THOUSANDS.sub("", tail.strip()).removeprefix("$").strip() if hashes else None


def unpadded(text: str) -> str:
    """AIME: `025` is 25; anything but digits stays as it is."""
    return str(int(text)) if text.isdecimal() else text


def clean(value: object) -> str:
    """An answer column of any kind as text: 18.0 is `18`, and of `… #### 18` or `… \\boxed{18}` only the 18 stays.

    A list of one is its answer, of several all of them with commas between. Raises `TypeError` for what is neither text
    nor number.
    """
    if isinstance(value, list | tuple):
        parts = [_clean_part(part) for part in value]
        return clean(value[0]) if len(parts) == 1 else ", ".join(filter(None, parts))
    if value is not None and not isinstance(value, str | int | float | Decimal):
        kind = "an object" if isinstance(value, dict) else type(value).__name__
        raise TypeError(f"an answer is text, a number or a list of them, not {kind}")
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(str(value)), "f")  # not 1.5e-05
    text = str(value).strip()
    hashed = after_hashes(text)
    return hashed if hashed is not None else last_boxed(text) or text


def literal(value: object) -> str:
    """An answer column as its data set writes it: text stripped, a list a line each, an object as JSON."""
    if isinstance(value, list | tuple):
        return "\n".join(map(literal, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return value.strip() if isinstance(value, str) else clean(value)


def _clean_part(value: object) -> str:
    """`clean` of one in a list of answers, whose commas are not to be taken for the list's."""
    if isinstance(value, list | tuple):
        raise TypeError("an answer is text, a number or a list of them, not a list of lists")
    text = clean(value)
    return _THOUSANDS.sub("", text) if _GROUPED.fullmatch(text) else text
