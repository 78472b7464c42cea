"""Gold answers as data sets write them, made clean."""

import math
import re
from decimal import Decimal

from data.boxed import last_boxed

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def after_hashes(text: str) -> str | None:
    """GSM8K: what follows the last `####`, without thousands separators or a leading `$`; None if there is none."""
    _, hashes, tail = text.rpartition("####")
    return _THOUSANDS.sub("", tail.strip()).removeprefix("$").strip() if hashes else None


def unpadded(text: str) -> str:
    """AIME: `025` is 25; anything but digits stays as it is."""
    return str(int(text)) if text.isdecimal() else text


def clean(value: object) -> str:
    """An answer column of any kind as text: 18.0 is `18`, and of `… #### 18` or `… \\boxed{18}` only the 18 stays."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(str(value)), "f")  # not 1.5e-05
    text = str(value).strip()
    hashed = after_hashes(text)
    return hashed if hashed is not None else last_boxed(text) or text
