"""What a computation in a text comes to: the last side of its equation."""

import re

_PLAIN_NUMBER = re.compile(r"\s*[$€£¥]?\s*([-+−]?\d[\d,]*(?:\.\d+)?)\s*")


def result_of(value: str) -> str:
    """The last value of a computation ("9 * 2 = 18"); any other value, and "12 = 36", as it is.

    An equation of two different numbers computes nothing: it is two answers, of which one may be right.
    """
    head, equals, last = value.rpartition("=")
    if not equals or not last.strip() or re.search(r"[A-Za-z\\]", head):
        return value
    return value if _differ(head.rpartition("=")[2], last) else last.strip()


def _differ(left: str, right: str) -> bool:
    """Whether both are numbers and not the same one."""
    sides = [_PLAIN_NUMBER.fullmatch(side) for side in (left, right)]
    numbers = {float(side[1].replace(",", "").replace("−", "-")) for side in sides if side}
    return None not in sides and len(numbers) > 1
