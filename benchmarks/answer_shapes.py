"""The shapes of gold answers that the rules of the hard set know, and the exact value of those that are numbers."""

import re
from collections.abc import Callable, Iterable
from fractions import Fraction

Rule = Callable[[str], Iterable[str]]
"""A gold answer → answers that the rule makes of it."""

INTEGER = re.compile(r"-?\d+")
DECIMAL = re.compile(r"-?\d*\.\d+")
FRACTION = re.compile(r"(-?)\\d?frac\s*(?:\{(-?\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))")
DEGREES = re.compile(r"(\d+)\^\\circ")
DOLLARS = re.compile(r"\\\$([\d.,\\!]+)")
MEASURE = re.compile(r"([\d.]+)\s*\\(?:text|mbox)\{\s*([a-z]+)\s*\}(\^2)?")
TEXT = re.compile(r"\\text\{([A-Za-z]+)\}")
CHOICE = re.compile(r"\\text\{\(([A-E])\)\}")
PAIR = re.compile(r"(?:\\left)?\s*([(\[])\s*([^,()\[\]]+),([^,()\[\]]+?)\s*(?:\\right)?\s*([)\]])")
LIST = re.compile(r"[^,()\[\]{}\\]+(?:,[^,()\[\]{}\\]+)+")
SURD = re.compile(r"(\d+)\s*\\sqrt\{?(\d+)\}?")
POLYNOMIAL = re.compile(r"-?[\d]*[a-z]?(?:\^\d)?(?:\s*[+-]\s*\d*[a-z]?(?:\^\d)?)+")
MATRIX = re.compile(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", re.DOTALL)
BASED = re.compile(r"(\d+)_\{?(\d)\}?")
THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:,(?:\\!\s*)?\d{3})+(?![\d])")


def value_of(gold: str) -> Fraction | None:
    """The exact value of an integer, decimal or fraction."""
    text = re.sub(r",\\!\s*", "", gold)
    if re.fullmatch(r"\d{1,3}(,\d{3})+", text):
        text = text.replace(",", "")
    if INTEGER.fullmatch(text) or DECIMAL.fullmatch(text):
        return Fraction(text)
    found = FRACTION.fullmatch(text)
    if not found:
        return None
    value = Fraction(int(found[2] or found[3]), int(found[4] or found[5]))
    return -value if found[1] else value


def terminating_decimal(value: Fraction) -> str | None:
    """The terminating decimal of a fraction, if it has one of at most 12 places."""
    for places in range(13):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(scaled.numerator):0{places + 1}d}"
            sign = "-" if value < 0 else ""
            return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    return None
