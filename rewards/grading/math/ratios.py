"""What is written with colons: times of day and ratios; whether two of them are equivalent."""

import re
from fractions import Fraction

from rewards.grading.math.answer import Answer, Clock, Quantity, Ratio, without_name
from rewards.grading.math.parser import parse
from rewards.grading.math.same_value import same_value
from rewards.grading.math.scanner import Unread
from rewards.grading.math.tree import Number, Product, Quotient

_CLOCK = re.compile(
    r"(\d{1,2})(?::(\d\d))?\s*(?:\\text\s*\{)?\s*([ap])\.?\s*m\.?(?![A-Za-z])\s*\}?\.?|(\d{1,2}):(\d\d)(?::00)?",
    re.IGNORECASE,
)
_ZERO = Number(Fraction(0))


def read_clock(text: str) -> Clock | None:
    """`4:30 p.m.`, `16:30`; None for anything else."""
    found = _CLOCK.fullmatch(text) if text[:1].isdigit() else None
    if not found:
        return None
    hour, minute = int(found[1] or found[4]), int(found[2] or found[5] or 0)
    if hour > (12 if found[3] else 24) or minute > 59:
        return None
    return Clock(hour, minute, (found[3] or "").lower())


def read_ratio(text: str) -> Ratio | None:
    """`2:3`, `1:2:3`; None for anything else."""
    parts = text.split(":")
    if len(parts) > 6:
        return None
    try:
        return Ratio(tuple(parse(part.strip()) for part in parts))
    except Unread:
        return None


def equal_ratios(gold: Answer, answer: Answer) -> bool | None:
    """Times of day, ratios, and a ratio of two as its quotient."""
    gold, answer = without_name(gold), without_name(answer)
    if isinstance(gold, Clock) and isinstance(answer, Clock):
        return _same_clock(gold, answer)
    for clock, other in ((gold, answer), (answer, gold)):
        if isinstance(clock, Clock) and clock.half and not clock.minute and isinstance(other, Quantity):
            return isinstance(other.node, Number) and other.node.value == clock.hour
    ratios = [_as_ratio(side) if isinstance(side, Clock) else side for side in (gold, answer)]
    if isinstance(ratios[0], Ratio) and isinstance(ratios[1], Ratio):
        return _same_ratio(ratios[0], ratios[1])
    for ratio, value in (ratios, ratios[::-1]):
        if isinstance(ratio, Ratio) and isinstance(value, Quantity):
            return _same_as_ratio(ratio, value)
    return False


def _same_ratio(gold: Ratio, answer: Ratio) -> bool | None:
    """Whether the parts are in proportion."""
    if len(gold.parts) != len(answer.parts):
        return False
    first, other = gold.parts[0], answer.parts[0]
    verdicts = [
        same_value(Product((part, other)), Product((against, first)))
        for part, against in zip(gold.parts[1:], answer.parts[1:], strict=True)
    ]
    return False if False in verdicts else None if None in verdicts else True


def _same_as_ratio(ratio: Ratio, value: Quantity) -> bool | None:
    """Whether `value` is the quotient of a ratio of two."""
    if len(ratio.parts) != 2 or value.unit is not None or same_value(ratio.parts[1], _ZERO):
        return False
    return same_value(Quotient(*ratio.parts), value.node, (1, value.sign))


def _same_clock(gold: Clock, answer: Clock) -> bool:
    """The same time; a.m. or p.m. may be missing on one side, and 24 hours may be counted."""
    if gold.minute != answer.minute:
        return False
    if (gold.half and answer.half) or (not gold.half and not answer.half):
        return _hour(gold) == _hour(answer)
    return gold.hour == answer.hour or _hour(gold) == _hour(answer)


def _as_ratio(clock: Clock) -> Ratio | None:
    """`3:10` as a ratio; None for what can only be a time."""
    if clock.half:
        return None
    return Ratio((Number(Fraction(clock.hour)), Number(Fraction(clock.minute))))


def _hour(clock: Clock) -> int:
    return clock.hour if not clock.half else clock.hour % 12 + (12 if clock.half == "p" else 0)
