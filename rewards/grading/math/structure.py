"""What kind of thing an answer is: a value with a unit, a text, a list, interval, union, matrix, equation.

`read_answer` takes the spelling of `normalize` apart, down to the expressions of `parser`.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from rewards.grading.math.answer import (
    Answer,
    Assignment,
    Based,
    Chain,
    Complement,
    Equation,
    Family,
    Group,
    Intersection,
    Matrix,
    Quantity,
    Text,
    Union,
)
from rewards.grading.math.families import NAMED_FAMILIES, integer_clause
from rewards.grading.math.parser import parse
from rewards.grading.math.ratios import read_clock, read_ratio
from rewards.grading.math.same_value import same_value
from rewards.grading.math.scanner import Unread
from rewards.grading.math.tree import Number, Variable, has_sign, variables
from rewards.grading.math.units import is_angle, same_unit, split_unit

_DEPTH = 12
_MOST_PARTS = 400


_OPENING, _CLOSING = "([{⦃", ")]}⦄"
_MIRRORED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_BASED = re.compile(r"\(?([0-9][0-9A-Fa-f]*)\)?\s*_\s*\{?\s*(?:\\text\{)?\s*(\d{1,2})\s*\}*")
_NAME = re.compile(
    r"\\?[A-Za-z]+[′']*(?:_(?:\{[A-Za-z0-9]+\}|[A-Za-z0-9]))?(?:\([A-Za-z](?:,\s*[A-Za-z])*\))?"
    r"|\\text\{[^{}]*\}|\([A-Za-z](?:,\s*[A-Za-z])+\)|[A-Za-z][A-Za-z ]*"
    r"|\|(?:[A-Z]{1,3}|\\(?:vec|overrightarrow|overline)\s*\{?\s*[A-Za-z]{1,2}\s*\}?)\|"  # a length
    r"|[A-Z]_\{?\s*\\(?:triangle|square)\s*[A-Z]{3,4}\s*\}?|\\(?:angle|triangle|overline)\s*\{?\s*[A-Z]{1,3}\s*\}?"
)
_ONE_VARIABLE = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+")
_DECIMAL_COMMA = re.compile(r"([-+]?)\s*[$€£¥]?\s*(\d{1,20}),(\d{1,20})(?![\d.])")  # behind it perhaps a unit
_WHOLE_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}\.?")
_WORDS = re.compile(r"[^\W\d_][\w\s'\-.,()&/:\"]*")
_MATRIX = re.compile(r"\\begin\{(?:[pbB]?matrix|array|smallmatrix)\}(?:\{[clr|\s]*\})?(.*)\\end\{[A-Za-z]+\}")
_WRAPPED_MATRIX = re.compile(r"[(\[]\s*(\\begin.*\\end\{[A-Za-z]+\})\s*[)\]]")
_REALS = {"\\mathbb{R}", "\\Reals", "\\text{all real numbers}", "all real numbers", "\\text{all reals}", "R"}
_ALL_REALS = "(-∞,∞)"
_NO_SOLUTION = {
    *("no solution", "no solutions", "no real solution", "no real solutions", "the empty set", "empty set"),
    *("there is no solution", "there are no solutions", "no such value", "no roots", "no real roots", "无解", "空集"),
}
_POINT = re.compile(r"([A-Z])\s*(\([^()]*,[^()]*\))")
_EMPTY = ("\\emptyset", "⦃⦄", "⦃ ⦄")
_ONLY = re.compile(r"^only\s+(?=[-\d])")  # "1 and only 1"
_LETTERS = re.compile(r"(?:\\text\s*\{\s*)?([A-Za-z]{2,3})\s*\}?")
_COMPOUND = re.compile(r"[\d.]+ ?(?:\\text\{ ?)?[A-Za-z°]+\}?,? *(?:and )?(?=\d)")
_FOR_ALL = re.compile(
    r"[,;]?\s*(?:\\text\s*\{)?\s*for (?:all|any|every|each)\b\s*(?:real|numbers?|\s)*\}?"
    r"\s*[a-z]?\s*(?:∈\s*\\mathbb\s*\{?R\}?)?\s*\}?$"
)
_ARC = re.compile(r"(-?\d+(?:\.\d+)?)\s*°\s*(\d+(?:\.\d+)?)\s*′(?!′)(?:\s*(\d+(?:\.\d+)?)\s*′′)?")


@lru_cache(maxsize=4096)
def read_answer(text: str) -> Answer:
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
    if text in NAMED_FAMILIES:
        return NAMED_FAMILIES[text]
    if "for " in text:
        text = _FOR_ALL.sub("", text) or text
    clause = integer_clause(text)
    if clause is not None:
        value, names, domain = clause
        return Family(_read(value, depth + 1) if value else Quantity(Variable(names[0])), names, domain)
    for reader in _READERS:
        answer = reader(text, depth)
        if answer is not None:
            return answer
    return _read_single(text)


def _read_point(text: str, depth: int) -> Answer | None:
    """`A(1,2)`: a point and its coordinates."""
    match = _POINT.fullmatch(text)
    return Assignment(match[1], _read(match[2], depth + 1)) if match else None


def _read_text(words: str, depth: int) -> Answer:
    """`\\text{…}` around a value is the value; around words it is a text."""
    if any(char.isdigit() for char in words):
        try:
            return _read(words, depth + 1)
        except Unread:
            pass
    if words.strip().lower() in _NO_SOLUTION:
        return Group("⦃⦄", ())
    if words.strip().lower() in _REALS:
        return _read(_ALL_REALS, depth + 1)
    return NAMED_FAMILIES.get(words.strip().lower()) or Text(words.strip())


def _read_matrix(text: str, depth: int) -> Answer | None:
    if "\\begin" not in text:
        return None
    wrapped = _WRAPPED_MATRIX.fullmatch(text)
    match = _MATRIX.fullmatch(wrapped[1] if wrapped else text)
    if not match or "\\begin" in match[1]:
        raise Unread
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", match[1].replace("\\hline", "")) if row.strip()]
    cells = [row.split("&") for row in rows]
    if not cells or len(cells) * len(cells[0]) > _MOST_PARTS:
        raise Unread
    return Matrix(tuple(tuple(_read(cell, depth + 1) for cell in row) for row in cells))


def _read_membership(text: str, depth: int) -> Answer | None:
    """`x ∈ S` is S."""
    if "∈" not in text:
        return None
    parts = split_top(text, "∈")
    if len(parts) < 2:
        return None
    if len(parts) > 2 or not _NAME.fullmatch(parts[0][0]):
        raise Unread
    return _read(parts[1][0], depth + 1)


def _read_difference(text: str, depth: int) -> Answer | None:
    """`\\mathbb{R} \\setminus \\{1\\}`"""
    if "∖" not in text:
        return None
    parts = split_top(text, "∖")
    if len(parts) != 2:
        raise Unread
    whole, less = (_read(part, depth + 1) for part, _ in parts)
    return Intersection((whole, Complement(less)))


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


def _is_about_one_variable(items: tuple[Answer, ...]) -> bool:
    names = {item.name if isinstance(item, Group | Complement) else None for item in items}
    return len(names) == 1 and None not in names


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
    if marks == {"≠"} and len(sides) == 2:
        return _read_exclusion(sides, depth)
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
    if not variables(left) and not variables(right):  # 2 + 3 = 5, but not 3 = 5
        is_true = all(same_value(parse(split_unit(side)[0]), right) for side in sides[:-1])
        return _read(last, depth + 1) if is_true else Equation(left, right)
    if len(sides) > 2:
        raise Unread
    if has_sign(left) or has_sign(right):
        return Group("", (Equation(left, right), Equation(left, right, -1)))
    return Equation(left, right)


def _read_exclusion(sides: list[str], depth: int) -> Answer:
    """`x ≠ 1`"""
    if not _ONE_VARIABLE.fullmatch(sides[0]):
        raise Unread
    return Complement(Group("⦃⦄", (_read(sides[1], depth + 1),)), _name(sides[0]))


def _read_inequality(sides: list[str], marks: list[str], depth: int) -> Answer:
    """`x > 5`, `5 < x`, `1 < x ≤ 4` as an interval with a name."""
    if sides[0] == "" and len(sides) == 2:  # "≥ 5" bounds a variable that is not named
        sides = ["x", sides[1]]
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
            low, high = _read(sides[0], depth + 1), _read(sides[2], depth + 1)
            if not _ONE_VARIABLE.fullmatch(sides[0]) or not _ONE_VARIABLE.fullmatch(sides[2]):
                return Group(brackets, (low, high), _name(sides[1]))
    if all(mark in ">≥" for mark in marks):
        sides, marks = sides[::-1], [_MIRRORED[mark] for mark in reversed(marks)]
    if not all(mark in "<≤" for mark in marks):
        raise Unread
    return Chain(tuple(_read(side, depth + 1) for side in sides), "".join(marks))


def _read_brackets(text: str, depth: int) -> Answer | None:
    """A set, tuple or interval: one pair of brackets around everything."""
    if text in _EMPTY or text.lower() in _NO_SOLUTION:
        return Group("⦃⦄", ())
    if text[0] not in _OPENING or text[-1] not in _CLOSING or not _encloses(text):
        return None
    brackets, inner = text[0] + text[-1], text[1:-1]
    if brackets == "⦃⦄" and ("|" in inner or ":" in inner):
        return _read_set_builder(inner, depth)
    parts = [part for part, _ in split_top(inner, ",;")]
    if len(parts) == 1 and brackets != "⦃⦄":
        return _read(inner, depth + 1)
    items = [_read(part, depth + 1) for part in parts]
    if brackets == "⦃⦄":
        items = [value for item in items for value in _expanded(item)]
    return Group("()" if brackets == "{}" else brackets, tuple(items))


def _read_set_builder(inner: str, depth: int) -> Answer:
    """`x | condition on x`, `2k+1 | k ∈ Z`"""
    parts = split_top(inner, "|") if "|" in inner else split_top(inner, ":")
    if len(parts) != 2:
        raise Unread
    element, condition = parts[0][0], parts[1][0]
    variable, _, domain = element.partition("∈")
    if _ONE_VARIABLE.fullmatch(variable.strip()) and domain.strip() in ("", "\\mathbb{R}", "\\mathbb R"):
        answer = _read(condition, depth + 1)
        is_about = isinstance(answer, Group | Complement) and answer.name == _name(variable.strip())
        if not is_about and not isinstance(answer, Union | Intersection | Family | Assignment):
            raise Unread
        return answer
    return _read(f"{element}, {condition}", depth + 1)


def _read_single(text: str) -> Answer:
    """A numeral in a base, a time, a ratio, a value with or without a unit, or words."""
    arc = _ARC.fullmatch(text)
    if arc:
        degrees = Fraction(arc[1]) + Fraction(arc[2]) / 60 + Fraction(arc[3] or 0) / 3600
        return Quantity(Number(degrees), split_unit("1°")[1])
    compound = _compound_unit(text) if _COMPOUND.match(text) else None
    if compound is not None:
        return compound
    special = read_clock(text) or (read_ratio(text) if ":" in text else None)
    if special is not None:
        return special
    based = _BASED.fullmatch(text)
    if based and 2 <= int(based[2]) <= 36:
        return Based(based[1].upper(), int(based[2]))
    value, unit = split_unit(text)
    if unit is not None and is_angle(unit) and _CALL.search(value):
        value, unit = text, None  # sin 30°: the degrees are the argument's
    letters = _LETTERS.fullmatch(text)
    text = _ONLY.sub("", text)
    value = _ONLY.sub("", value)
    attempts: list[Callable[[], Quantity]] = [lambda: Quantity(parse(value), unit)]
    if unit is not None:
        attempts.append(lambda: Quantity(parse(text)))
    for attempt in attempts:
        try:
            quantity = attempt()
        except Unread:
            continue
        if letters:
            return replace(quantity, letters=letters[1])
        if not has_sign(quantity.node):
            return quantity
        return Group("", (quantity, Quantity(quantity.node, quantity.unit, -1)))
    words = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    if words.strip().lower() in NAMED_FAMILIES:
        return NAMED_FAMILIES[words.strip().lower()]
    if words.strip().lower() in _NO_SOLUTION:
        return Group("⦃⦄", ())
    if _WORDS.fullmatch(words):
        return Text(words)
    raise Unread


def _compound_unit(text: str) -> Quantity | None:
    """`2 hours 30 minutes` in the first unit; None when it is none."""
    parts = re.split(r"(?<=[A-Za-z°}]),? *(?:and )?(?=\d)", text)
    total, first = Fraction(0), None
    for part in parts:
        value, unit = split_unit(part)
        number = re.fullmatch(r"\d+(?:\.\d+)?", value)
        first = first or unit
        factor = same_unit(first, unit) if first is not None and unit is not None else None
        if number is None or factor is None or (unit is not None and unit.words):
            return None
        total += Fraction(number[0]) * factor
    return Quantity(Number(total), first)


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


_CALL = re.compile(r"(?<![A-Za-z])(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_READERS = (
    _read_matrix,
    _read_point,
    _read_membership,
    _read_difference,
    _read_union,
    _read_list,
    _read_relation,
    _read_brackets,
)
