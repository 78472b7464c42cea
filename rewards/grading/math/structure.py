"""What kind of thing an answer is: a value with a unit, a text, a list, interval, union, matrix, equation.

`read` takes the spelling of `normalize` apart, down to the expressions of `parser`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from rewards.grading.math.parser import Node, Unread, parse
from rewards.grading.math.units import Unit, split_unit
from rewards.grading.math.value import has_sign, variables

_DEPTH = 12
_MOST_PARTS = 400


@dataclass(frozen=True, slots=True)
class Text:
    """Words: a name, a direction, a choice."""

    words: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value; `sign` picks one of the two that a ± stands for."""

    node: Node
    unit: Unit | None = None
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Based:
    """A numeral in a base: `52_8`."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Group:
    """Several answers. `opening` + `closing` is "" (a list), "⦃⦄" (a set), or brackets: a tuple, a point, an interval.

    `name` is the variable of an interval that was written as an inequality. `decimal` is the one number that a list
    may be as well: `2,74`.
    """

    brackets: str
    items: tuple["Answer", ...]
    name: str | None = None
    decimal: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Union:
    """Intervals and sets joined by ∪."""

    parts: tuple["Answer", ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of cells."""

    rows: tuple[tuple["Answer", ...], ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """`x = 5`, `f(x) = …`, `Area = …`: a name and its value."""

    name: str
    value: "Answer"


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides, neither of which is a name alone."""

    left: Node
    right: Node


Answer = Text | Quantity | Based | Group | Union | Matrix | Assignment | Equation

_OPENING, _CLOSING = "([{⦃", ")]}⦄"
_MIRRORED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_BASED = re.compile(r"\(?([0-9][0-9A-Fa-f]*)\)?\s*_\s*\{?\s*(?:\\text\{)?\s*(\d{1,2})\s*\}*")
_NAME = re.compile(
    r"\\?[A-Za-z]+'?(?:_(?:\{[A-Za-z0-9]+\}|[A-Za-z0-9]))?(?:\([A-Za-z](?:,\s*[A-Za-z])*\))?"
    r"|\\text\{[^{}]*\}|\([A-Za-z](?:,\s*[A-Za-z])+\)|[A-Za-z][A-Za-z ]*"
)
_ONE_VARIABLE = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+")
_DECIMAL_COMMA = re.compile(r"([-+]?)\s*[$€£¥]?\s*(\d{1,20}),(\d{1,20})(?![\d.])")  # behind it perhaps a unit
_WHOLE_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}\.?")
_WORDS = re.compile(r"[^\W\d_][\w\s'\-.,()&/:\"]*")
_MATRIX = re.compile(r"\\begin\{(?:[pbB]?matrix|array|smallmatrix)\}(?:\{[clr|\s]*\})?(.*)\\end\{[A-Za-z]+\}")
_WRAPPED_MATRIX = re.compile(r"[(\[]\s*(\\begin.*\\end\{[A-Za-z]+\})\s*[)\]]")
_REALS = {"\\mathbb{R}", "\\Reals", "\\text{all real numbers}", "all real numbers", "\\text{all reals}", "R"}
_ALL_REALS = "(-∞,∞)"


@lru_cache(maxsize=4096)
def read(text: str) -> Answer:
    """The structure of one normalised answer; raises `Unread` when it is none that is known here."""
    return _read(text, 0)


def split_top(text: str, marks: str) -> list[tuple[str, str]]:
    """`text` cut at the `marks` outside of brackets: (part, the mark before it), the first mark being ""."""
    parts: list[tuple[str, str]] = []
    depth, start, before = 0, 0, ""
    for position, char in enumerate(text):
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        elif depth == 0 and char in marks:
            parts.append((text[start:position].strip(), before))
            start, before = position + 1, char
    parts.append((text[start:].strip(), before))
    if len(parts) > _MOST_PARTS:
        raise Unread
    return parts


def _read(text: str, depth: int) -> Answer:
    text = text.strip()
    if not text or depth > _DEPTH:
        raise Unread
    whole = _WHOLE_TEXT.fullmatch(text)
    if whole:
        return _read_text(whole[1], depth)
    if text in _REALS and text != "R":
        text = _ALL_REALS
    for reader in (_read_matrix, _read_membership, _read_union, _read_list, _read_relation, _read_brackets):
        answer = reader(text, depth)
        if answer is not None:
            return answer
    return _read_single(text)


def _read_text(words: str, depth: int) -> Answer:
    """`\\text{…}` around a value is the value; around words it is a text."""
    if any(char.isdigit() for char in words):
        try:
            return _read(words, depth + 1)
        except Unread:
            pass
    return Text(words.strip())


def _read_matrix(text: str, depth: int) -> Answer | None:
    if "\\begin" not in text:
        return None
    wrapped = _WRAPPED_MATRIX.fullmatch(text)
    found = _MATRIX.fullmatch(wrapped[1] if wrapped else text)
    if not found or "\\begin" in found[1]:
        raise Unread
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", found[1].replace("\\hline", "")) if row.strip()]
    cells = [row.split("&") for row in rows]
    if not cells or len(cells) * len(cells[0]) > _MOST_PARTS:
        raise Unread
    return Matrix(tuple(tuple(_read(cell, depth + 1) for cell in row) for row in cells))


def _read_membership(text: str, depth: int) -> Answer | None:
    """`x ∈ S` is S."""
    if "∈" not in text:
        return None
    parts = split_top(text, "∈")
    if len(parts) != 2 or not _NAME.fullmatch(parts[0][0]):
        raise Unread
    return _read(parts[1][0], depth + 1)


def _read_union(text: str, depth: int) -> Answer | None:
    if "∪" not in text:
        return None
    parts = split_top(text, "∪")
    return Union(tuple(_read(part, depth + 1) for part, _ in parts)) if len(parts) > 1 else None


def _read_list(text: str, depth: int) -> Answer | None:
    """Items between top-level commas, semicolons, "and", "or"; inequalities joined by "or" are a union."""
    parts = [(part, mark) for part, mark in split_top(text, ",;∨") if part]
    if len(parts) < 2:
        return None
    items = tuple(_read(part, depth + 1) for part, _ in parts)
    if any(isinstance(item, Group) and item.name for item in items):
        if all(mark in ("", "∨") for _, mark in parts):
            return Union(items)
        raise Unread
    values = tuple(value for item in items for value in _expanded(item))
    comma = _DECIMAL_COMMA.match(text) if len(values) == 2 else None
    return Group("", values, decimal=Fraction(f"{comma[1]}{comma[2]}.{comma[3]}") if comma else None)


def _read_relation(text: str, depth: int) -> Answer | None:
    parts = split_top(text, "=≈<>≤≥≠")
    about = next((at for at, (_, mark) in enumerate(parts) if mark == "≈"), 0)
    if about > 1 or (about and not _NAME.fullmatch(parts[0][0])):
        parts = parts[:about]  # the exact value stands before its approximation
        if about == 1:
            return _read(parts[0][0], depth + 1)
    if len(parts) < 2:
        return None
    marks = {mark for _, mark in parts[1:]}
    sides = [part for part, _ in parts]
    if marks <= {"=", "≈"}:
        return _read_equality(sides, depth)
    if marks & {"=", "≈", "≠"}:
        raise Unread
    return _read_inequality(sides, [mark for _, mark in parts[1:]], depth)


def _read_equality(sides: list[str], depth: int) -> Answer:
    """A name and its value where one side is a name; the last value of a chain; else an equation."""
    first, last = sides[0], sides[-1]
    if _NAME.fullmatch(first):
        return Assignment(_name(first), _read(last, depth + 1))
    if len(sides) == 2 and _ONE_VARIABLE.fullmatch(last):
        return Assignment(_name(last), _read(first, depth + 1))
    right = parse(split_unit(last)[0])
    try:
        left = parse(sides[-2])
    except Unread:
        return Assignment(_name(first), _read(last, depth + 1))  # \angle ABC = 90°
    if not variables(left) and not variables(right):
        return _read(last, depth + 1)  # 2 + 3 = 5
    if len(sides) > 2:
        raise Unread
    return Equation(left, right)


def _read_inequality(sides: list[str], marks: list[str], depth: int) -> Answer:
    """`x > 5`, `5 < x`, `1 < x ≤ 4` as an interval with a name."""
    if (
        len(sides) == 2
        and _ONE_VARIABLE.fullmatch(sides[1])
        and not (_ONE_VARIABLE.fullmatch(sides[0]) and sides[0] < sides[1])
    ):
        sides, marks = sides[::-1], [_MIRRORED[marks[0]]]
    if len(sides) == 2 and _ONE_VARIABLE.fullmatch(sides[0]):
        bound = _read(sides[1], depth + 1)
        infinite = _read("∞" if marks[0] in ">≥" else "-∞", depth + 1)
        if marks[0] in ">≥":
            return Group("()" if marks[0] == ">" else "[)", (bound, infinite), _name(sides[0]))
        return Group("()" if marks[0] == "<" else "(]", (infinite, bound), _name(sides[0]))
    if len(sides) == 3 and _ONE_VARIABLE.fullmatch(sides[1]):
        if marks[0] in ">≥":
            sides, marks = sides[::-1], [_MIRRORED[mark] for mark in reversed(marks)]
        if marks[0] in "<≤" and marks[1] in "<≤":
            brackets = ("[" if marks[0] == "≤" else "(") + ("]" if marks[1] == "≤" else ")")
            return Group(brackets, (_read(sides[0], depth + 1), _read(sides[2], depth + 1)), _name(sides[1]))
    raise Unread


def _read_brackets(text: str, depth: int) -> Answer | None:
    """A set, tuple or interval: one pair of brackets around everything."""
    if text in ("\\emptyset", "⦃⦄", "⦃ ⦄"):
        return Group("⦃⦄", ())
    if text[0] not in _OPENING or text[-1] not in _CLOSING or not _encloses(text):
        return None
    brackets, inner = text[0] + text[-1], text[1:-1]
    if "|" in inner and brackets == "⦃⦄":
        raise Unread  # a set builder
    parts = [part for part, _ in split_top(inner, ",;")]
    if len(parts) == 1 and brackets != "⦃⦄":
        return _read(inner, depth + 1)
    items = [_read(part, depth + 1) for part in parts]
    if brackets == "⦃⦄":
        items = [value for item in items for value in _expanded(item)]
    return Group("()" if brackets == "{}" else brackets, tuple(items))


def _read_single(text: str) -> Answer:
    """A numeral in a base, a value with or without a unit, or words."""
    based = _BASED.fullmatch(text)
    if based and 2 <= int(based[2]) <= 36:
        return Based(based[1].upper(), int(based[2]))
    value, unit = split_unit(text)
    attempts: list[Callable[[], Quantity]] = [lambda: Quantity(parse(value), unit)]
    if unit is not None:
        attempts.append(lambda: Quantity(parse(text)))
    for attempt in attempts:
        try:
            quantity = attempt()
        except Unread:
            continue
        if not has_sign(quantity.node):
            return quantity
        return Group("", (quantity, Quantity(quantity.node, quantity.unit, -1)))
    words = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    if _WORDS.fullmatch(words):
        return Text(words)
    raise Unread


def _expanded(item: Answer) -> tuple[Answer, ...]:
    """The two values of a ± inside a list or set; any other item itself."""
    if isinstance(item, Group) and item.brackets == "" and len(item.items) == 2:
        return item.items
    return (item,)


def _encloses(text: str) -> bool:
    """Whether the first bracket closes at the very end."""
    depth = 0
    for position, char in enumerate(text):
        depth += (char in _OPENING) - (char in _CLOSING)
        if depth == 0:
            return position == len(text) - 1
    return False


def _name(text: str) -> str:
    return re.sub(r"[{}\s\\]|\\text", "", text)
