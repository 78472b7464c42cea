"""Gold answers as data sets write them, made clean."""

import math
import re
from decimal import Decimal

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def after_hashes(text: str) -> str | None:
    """GSM8K: what follows the last `####`, without thousands separators or a leading `$`; None if there is none."""
    _, hashes, tail = text.rpartition("####")
    return _THOUSANDS.sub("", tail.strip()).removeprefix("$").strip() if hashes else None


def last_boxed(text: str) -> str | None:
    r"""MATH: the content of the last `\boxed{…}` or `\fbox{…}`, braces matched; None if there is none or it is open."""
    start = max(text.rfind(r"\boxed"), text.rfind(r"\fbox"))
    if start < 0:
        return None
    head = re.match(r"\\(?:boxed|fbox)\s*", text[start:])
    assert head is not None
    begin = start + head.end()
    if not text.startswith("{", begin):
        return text[begin:].split("$", 1)[0].strip() or None  # MATH also has `\boxed 2$`
    depth = 0
    for i in range(begin, len(text)):
        escaped = text[i - 1] == "\\" and text[i - 2 : i] != "\\\\"
        if not escaped:
            depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[begin + 1 : i].strip()
    return None


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
