"""The characters of one value, read from left to right, and the numbers among them."""

import re
from collections.abc import Callable
from fractions import Fraction

from rewards.grading.math.tree import Number

_LONGEST_NUMBER = 400
_CYCLE = re.compile(r"(\d*?)(\d{1,12}?)\2+")  # of digits that all repeat behind a start
_MINUTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*′(?!′)(?:\s*(\d+(?:\.\d+)?)\s*(?:′′|″))?")


class Unread(Exception):
    """Not a value that is known here."""


class Scanner:
    """A text and a position in it, `at`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> str:
        """Skip white space; the next character, or ""."""
        while (char := self.text[self.at : self.at + 1]) == " ":
            self.at += 1
        return char

    def take(self) -> str:
        """The next character behind white space, or ""; the position moves behind it."""
        char = self.skip()
        self.at += 1
        return char

    def expect(self, char: str) -> None:
        """Take `char`; raises `Unread` where it does not come next."""
        if self.take() != char:
            raise Unread

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What matches here; the position moves behind it."""
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def number(self) -> Number:
        """`12`, `1.5`, `.5`, `3.`, `0.333…`, `0.1\\overline{6}`; raises `Unread`."""
        for pattern, read in _NUMERALS:
            found = self.match(pattern)
            if not found:
                continue
            if found.end() - found.start() > _LONGEST_NUMBER:
                break
            return read(*found.groups())
        raise Unread

    def with_minutes(self, degrees: Number) -> Number:
        """Degrees, and the minutes and seconds of arc behind them."""
        found = self.match(_MINUTES)
        if not found:
            return degrees
        return Number(degrees.value + Fraction(found[1]) / 60 + Fraction(found[2] or 0) / 3600)


def _plain(whole: str | None, decimals: str | None) -> Number:
    if decimals is None:
        return Number(Fraction(int(whole or 0)))
    return Number(Fraction(f"{whole or 0}.{decimals}"), len(decimals))


def _going_on(whole: str, digits: str) -> Number:
    """`0.333…`, `0.1666…`: the repeating decimal that it shows; digits without a cycle are a decimal cut short."""
    cycle = _CYCLE.fullmatch(digits)
    value = _repeating(whole, cycle[1], cycle[2]).value if cycle else Fraction(f"{whole or 0}.{digits}")
    return Number(value, len(digits))


def _repeating(whole: str, fixed: str, cycle: str) -> Number:
    """The digits of `cycle` over and over, behind those of `fixed`."""
    scale = 10 ** len(fixed)
    start = Fraction(int((whole + fixed) or "0"), scale)
    return Number(start + Fraction(int(cycle), scale * (10 ** len(cycle) - 1)))


_NUMERALS: tuple[tuple[re.Pattern[str], Callable[..., Number]], ...] = (
    (re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot|overset)\s*\{?(\d+)\}?"), _repeating),
    (re.compile(r"(\d*)\.(\d{1,40})…"), _going_on),
    (re.compile(r"(?=\.?\d)(\d+)?(?:\.(\d+)|\.(?![\w.…]))?"), _plain),  # also "3./2"
)
