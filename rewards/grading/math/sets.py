"""Answers of several parts: lists, tuples, intervals, sets and what is built from them with ∪, ∖, ∈ and `{x | …}`.

Each reader takes a text and a reader of its parts, and returns None where the text is another kind of answer.
"""

import re
from fractions import Fraction

from rewards.grading.math.answer import Answer, Assignment, Complement, Family, Group, Intersection, Reader, Union
from rewards.grading.math.brackets import CLOSING, OPENING, encloses, split_top
from rewards.grading.math.named_sets import EMPTY_SET
from rewards.grading.math.names import NAME, ONE_VARIABLE, name_of
from rewards.grading.math.scanner import Unread

_DECIMAL_COMMA = re.compile(r"([-+]?)\s*[$€£¥]?\s*(\d{1,20}),(\d{1,20})(?![\d.])")  # behind it perhaps a unit
_EMPTY = ("\\emptyset", "⦃⦄", "⦃ ⦄")


def read_membership(text: str, read: Reader) -> Answer | None:
    """`x ∈ S` is S."""
    if "∈" not in text:
        return None
    parts = split_top(text, "∈")
    if len(parts) < 2:
        return None
    if len(parts) > 2 or not NAME.fullmatch(parts[0][0]):
        raise Unread
    return read(parts[1][0])


def read_difference(text: str, read: Reader) -> Answer | None:
    """`\\mathbb{R} \\setminus \\{1\\}`"""
    if "∖" not in text:
        return None
    parts = split_top(text, "∖")
    if len(parts) != 2:
        raise Unread
    whole, less = (read(part) for part, _ in parts)
    return Intersection((whole, Complement(less)))


def read_union(text: str, read: Reader) -> Answer | None:
    """`(1,2) ∪ (3,4)`"""
    if "∪" not in text:
        return None
    parts = split_top(text, "∪")
    return Union(tuple(read(part) for part, _ in parts)) if len(parts) > 1 else None


def read_list(text: str, read: Reader) -> Answer | None:
    """Items between top-level commas, semicolons, "and", "or"; inequalities joined by "or" are a union."""
    parts = [(part, mark) for part, mark in split_top(text, ",;∨") if part]
    if len(parts) < 2:
        return None
    items = tuple(read(part) for part, _ in parts)
    if any(isinstance(item, Group | Complement) and item.name for item in items):
        if all(mark in ("", "∨") for _, mark in parts):
            return Union(items)
        if all(mark in ("", ",") for _, mark in parts) and _is_about_one_variable(items):
            return Intersection(items)
        raise Unread
    values = tuple(value for item in items for value in _expanded(item))
    comma = _DECIMAL_COMMA.match(text) if len(values) == 2 else None
    if not comma:
        return Group("", values)
    is_decimal = (comma[1] == "-" and not int(comma[2])) or (comma[3][0] == "0" and len(comma[3]) > 1)
    return Group("", values, decimal=Fraction(f"{comma[1]}{comma[2]}.{comma[3]}"), is_decimal=is_decimal)


def read_brackets(text: str, read: Reader) -> Answer | None:
    """A set, tuple or interval: one pair of brackets around everything."""
    if text in _EMPTY:
        return EMPTY_SET
    if text[0] not in OPENING or text[-1] not in CLOSING or not encloses(text):
        return None
    brackets, inner = text[0] + text[-1], text[1:-1]
    if brackets == "⦃⦄" and ("|" in inner or ":" in inner):
        return _read_set_builder(inner, read)
    parts = [part for part, _ in split_top(inner, ",;")]
    if len(parts) == 1 and brackets != "⦃⦄":
        return read(inner)
    items = [read(part) for part in parts]
    if brackets == "⦃⦄":
        items = [value for item in items for value in _expanded(item)]
    return Group("()" if brackets == "{}" else brackets, tuple(items))


def _read_set_builder(inner: str, read: Reader) -> Answer:
    """`x | condition on x`, `2k+1 | k ∈ Z`"""
    parts = split_top(inner, "|") if "|" in inner else split_top(inner, ":")
    if len(parts) != 2:
        raise Unread
    element, condition = parts[0][0], parts[1][0]
    variable, _, domain = element.partition("∈")
    if ONE_VARIABLE.fullmatch(variable.strip()) and domain.strip() in ("", "\\mathbb{R}", "\\mathbb R"):
        answer = read(condition)
        is_about = isinstance(answer, Group | Complement) and answer.name == name_of(variable.strip())
        if not is_about and not isinstance(answer, Union | Intersection | Family | Assignment):
            raise Unread
        return answer
    return read(f"{element}, {condition}")


def _is_about_one_variable(items: tuple[Answer, ...]) -> bool:
    names = {item.name if isinstance(item, Group | Complement) else None for item in items}
    return len(names) == 1 and None not in names


def _expanded(item: Answer) -> tuple[Answer, ...]:
    """The two values of a ± inside a list or set; any other item itself."""
    if isinstance(item, Group) and item.brackets == "" and len(item.items) == 2:
        return item.items
    return (item,)
