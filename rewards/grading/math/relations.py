"""Answers with a relation: `x = 5`, an equation, `x ≠ 1`, an inequality as an interval or a chain."""

from rewards.grading.math.answer import Answer, Assignment, Chain, Complement, Equation, Group, Reader
from rewards.grading.math.brackets import split_top
from rewards.grading.math.names import NAME, ONE_VARIABLE, name_of
from rewards.grading.math.parser import parse
from rewards.grading.math.same_value import same_value
from rewards.grading.math.scanner import Unread
from rewards.grading.math.tree import has_sign, variables
from rewards.grading.math.units import split_unit

_MIRRORED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}


def read_relation(text: str, read: Reader) -> Answer | None:
    """What =, ≈, ≠, < and ≤ say of names and values; None where there is none of them outside of brackets."""
    parts = split_top(text, "=≈<>≤≥≠")
    about = next((at for at, (_, mark) in enumerate(parts) if mark == "≈"), 0)
    if about > 1 or (about and not NAME.fullmatch(parts[0][0])):
        parts = parts[:about]  # the exact value stands before its approximation
        if about == 1:
            return read(parts[0][0])
    if len(parts) < 2:
        return None
    marks = {mark for _, mark in parts[1:]}
    sides = [part for part, _ in parts]
    if marks <= {"=", "≈"}:
        return _read_equality(sides, read)
    if marks == {"≠"} and len(sides) == 2:
        return _read_exclusion(sides, read)
    if marks & {"=", "≈", "≠"}:
        raise Unread
    return _read_inequality(sides, [mark for _, mark in parts[1:]], read)


def _read_equality(sides: list[str], read: Reader) -> Answer:
    """A name and its value where one side is a name; the last value of a chain; else an equation."""
    first, last = sides[0], sides[-1]
    if NAME.fullmatch(first):
        return Assignment(name_of(first), read(last))
    if len(sides) == 2 and ONE_VARIABLE.fullmatch(last):
        return Assignment(name_of(last), read(first))
    right = parse(split_unit(last)[0])
    try:
        left = parse(sides[-2])
    except Unread:
        return Assignment(name_of(first), read(last))  # \angle ABC = 90°
    if not variables(left) and not variables(right):  # 2 + 3 = 5, but not 3 = 5
        is_true = all(same_value(parse(split_unit(side)[0]), right) for side in sides[:-1])
        return read(last) if is_true else Equation(left, right)
    if len(sides) > 2:
        raise Unread
    if has_sign(left) or has_sign(right):
        return Group("", (Equation(left, right), Equation(left, right, -1)))
    return Equation(left, right)


def _read_exclusion(sides: list[str], read: Reader) -> Answer:
    """`x ≠ 1`"""
    if not ONE_VARIABLE.fullmatch(sides[0]):
        raise Unread
    return Complement(Group("⦃⦄", (read(sides[1]),)), name_of(sides[0]))


def _read_inequality(sides: list[str], marks: list[str], read: Reader) -> Answer:
    """`x > 5`, `5 < x`, `1 < x ≤ 4` as an interval with a name."""
    if sides[0] == "" and len(sides) == 2:  # "≥ 5" bounds a variable that is not named
        sides = ["x", sides[1]]
    if (
        len(sides) == 2
        and ONE_VARIABLE.fullmatch(sides[1])
        and not (ONE_VARIABLE.fullmatch(sides[0]) and sides[0] < sides[1])
    ):
        sides, marks = sides[::-1], [_MIRRORED[marks[0]]]
    if len(sides) == 2 and ONE_VARIABLE.fullmatch(sides[0]):
        bound = read(sides[1])
        infinite = read("∞" if marks[0] in ">≥" else "-∞")
        if marks[0] in ">≥":
            return Group("()" if marks[0] == ">" else "[)", (bound, infinite), name_of(sides[0]))
        return Group("()" if marks[0] == "<" else "(]", (infinite, bound), name_of(sides[0]))
    if len(sides) == 3 and ONE_VARIABLE.fullmatch(sides[1]):
        if marks[0] in ">≥":
            sides, marks = sides[::-1], [_MIRRORED[mark] for mark in reversed(marks)]
        if marks[0] in "<≤" and marks[1] in "<≤":
            brackets = ("[" if marks[0] == "≤" else "(") + ("]" if marks[1] == "≤" else ")")
            low, high = read(sides[0]), read(sides[2])
            if not ONE_VARIABLE.fullmatch(sides[0]) or not ONE_VARIABLE.fullmatch(sides[2]):
                return Group(brackets, (low, high), name_of(sides[1]))
    if all(mark in ">≥" for mark in marks):
        sides, marks = sides[::-1], [_MIRRORED[mark] for mark in reversed(marks)]
    if not all(mark in "<≤" for mark in marks):
        raise Unread
    return Chain(tuple(read(side) for side in sides), "".join(marks))
