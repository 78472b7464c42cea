"""Answers of one part: a value with or without a unit, a numeral in a base, a time, a ratio, or words."""

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from rewards.grading.math.answer import Answer, Based, Group, Quantity, Text
from rewards.grading.math.named_sets import named_set
from rewards.grading.math.parser import parse
from rewards.grading.math.ratios import read_clock, read_ratio
from rewards.grading.math.scanner import Unread
from rewards.grading.math.tree import Number, has_sign
from rewards.grading.math.units import is_angle, same_unit, split_unit

_BASED = re.compile(r"\(?([0-9][0-9A-Fa-f]*)\)?\s*_\s*\{?\s*(?:\\text\{)?\s*(\d{1,2})\s*\}*")
_WORDS = re.compile(r"[^\W\d_][\w\s'\-.,()&/:\"]*")
_ONLY = re.compile(r"^only\s+(?=[-\d])")  # "1 and only 1"
_LETTERS = re.compile(r"(?:\\text\s*\{\s*)?([A-Za-z]{2,3})\s*\}?")
_COMPOUND = re.compile(r"[\d.]+ ?(?:\\text\{ ?)?[A-Za-z°]+\}?,? *(?:and )?(?=\d)")
_ARC = re.compile(r"(-?\d+(?:\.\d+)?)\s*°\s*(\d+(?:\.\d+)?)\s*′(?!′)(?:\s*(\d+(?:\.\d+)?)\s*′′)?")
_CALL = re.compile(r"(?<![A-Za-z])(?:sin|cos|tan|cot|sec|csc)(?![a-z])")


def read_single(text: str) -> Answer:
    """A numeral in a base, a time, a ratio, a value with or without a unit, or words."""
    arc = _ARC.fullmatch(text) if "°" in text else None
    if arc:
        degrees = Fraction(arc[1]) + Fraction(arc[2]) / 60 + Fraction(arc[3] or 0) / 3600
        return Quantity(Number(degrees), split_unit("1°")[1])
    compound = _compound_unit(text) if _COMPOUND.match(text) else None
    if compound is not None:
        return compound
    special = read_clock(text) or (read_ratio(text) if ":" in text else None)
    if special is not None:
        return special
    based = _BASED.fullmatch(text) if "_" in text else None
    if based and 2 <= int(based[2]) <= 36:
        return Based(based[1].upper(), int(based[2]))
    value, unit = split_unit(text)
    if unit is not None and is_angle(unit) and _CALL.search(value):
        value, unit = text, None  # sin 30°: the degrees are the argument's
    letters = _LETTERS.fullmatch(text)
    if text.startswith("only"):
        text, value = _ONLY.sub("", text), _ONLY.sub("", value)
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
    if (named := named_set(words)) is not None:
        return named
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
