"""Sets of real numbers: unions of intervals and points in one canonical form, so that two of them can be compared."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from rewards.grading.math.answer import Answer, Complement, Group, Intersection, Quantity, Union
from rewards.grading.math.same_value import infinite_sign, is_close
from rewards.grading.math.tree import variables
from rewards.grading.math.value import Undefined, value_at

Real = Fraction | float

_INTERVALS = ("()", "(]", "[)", "[]")


@dataclass(frozen=True, slots=True)
class _Interval:
    """From `low` to `high`; whether the ends belong to it. A point is an interval of no length."""

    low: Real
    high: Real
    has_low: bool
    has_high: bool


def same_set(gold: Answer, answer: Answer) -> bool | None:
    """Whether two unions (or an interval, or a set of numbers) are one set of reals; None when that can't be told.

    Raises TooBig.
    """
    sets = _merged(gold), _merged(answer)
    if sets[0] is None or sets[1] is None:
        return None
    if len(_names(gold) | _names(answer)) > 1:
        return False
    if len(sets[0]) != len(sets[1]):
        return False
    pairs = list(zip(sets[0], sets[1], strict=True))
    if any((left.has_low, left.has_high) != (right.has_low, right.has_high) for left, right in pairs):
        return False
    ends = [_same_end(*end) for left, right in pairs for end in ((left.low, right.low), (left.high, right.high))]
    return False if False in ends else None if None in ends else True


def _names(answer: Answer) -> set[str]:
    """The variables that the parts of a set are said of."""
    if isinstance(answer, Union | Intersection):
        return {name for part in answer.parts for name in _names(part)}
    return {answer.name} if isinstance(answer, Group | Complement) and answer.name else set()


def _parts(answer: Answer) -> Sequence[Answer]:
    return answer.parts if isinstance(answer, Union) else (answer,)


def _merged(answer: Answer) -> list[_Interval] | None:
    """The set as intervals in order that do not touch; None when it is none of real numbers."""
    if isinstance(answer, Complement):
        return _complement(_merged(answer.of))
    if isinstance(answer, Intersection):
        outside = [_complement(_merged(part)) for part in answer.parts]
        if any(one is None for one in outside):
            return None
        common = _complement(_joined([interval for one in outside if one is not None for interval in one]))
        return common or _merged(Union(answer.parts))  # "x < 2, x > 3" can only mean "or"
    all_intervals: list[_Interval] = []
    for part in _parts(answer):
        intervals = _merged(part) if isinstance(part, Complement | Intersection) else _intervals(part)
        if intervals is None:
            return None
        all_intervals += intervals
    return _joined(all_intervals)


def _complement(intervals: list[_Interval] | None) -> list[_Interval] | None:
    """All other real numbers, for intervals in order that do not touch."""
    if intervals is None:
        return None
    start: Real = -math.inf
    has_low, gaps = False, list[_Interval]()
    for interval in intervals:
        if interval.low > start or (interval.low == start and has_low and not interval.has_low):
            gaps.append(_Interval(start, interval.low, has_low, not interval.has_low and interval.low != -math.inf))
        start, has_low = interval.high, not interval.has_high
    if start < math.inf:
        gaps.append(_Interval(start, math.inf, has_low, False))
    return gaps


def _joined(found: list[_Interval]) -> list[_Interval]:
    """Intervals in order, those that touch joined."""
    merged: list[_Interval] = []
    for interval in sorted(found, key=lambda one: (one.low, not one.has_low)):
        last = merged[-1] if merged else None
        if (
            last is None
            or interval.low > last.high
            or (interval.low == last.high and not (interval.has_low or last.has_high))
        ):
            merged.append(interval)
        elif interval.high > last.high:
            merged[-1] = replace(last, high=interval.high, has_high=interval.has_high)
        elif interval.high == last.high:
            merged[-1] = replace(last, has_high=last.has_high or interval.has_high)
    return merged


def _intervals(part: Answer) -> list[_Interval] | None:
    if not isinstance(part, Group):
        return None
    ends = [_real(item) for item in part.items]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return None
    if part.brackets == "⦃⦄":
        return [_Interval(end, end, True, True) for end in known]
    if part.brackets not in _INTERVALS or len(known) != 2 or known[0] > known[1]:
        return None
    low, high = known
    return [_Interval(low, high, part.brackets[0] == "[", part.brackets[1] == "]")]


def _real(item: Answer) -> Real | None:
    """The real value of one end; None when it has none."""
    if not isinstance(item, Quantity) or item.unit is not None or variables(item.node):
        return None
    if sign := infinite_sign(item.node):
        return sign * math.inf
    try:
        value = value_at(item.node, {}, item.sign)
    except Undefined:
        return None
    if isinstance(value, Fraction):
        return value
    return value.real if abs(value.imag) <= 1e-12 * abs(value) else None


def _same_end(left: Real, right: Real) -> bool | None:
    if math.inf in (abs(left), abs(right)):
        return left == right
    return is_close(*(end if isinstance(end, Fraction) else complex(end) for end in (left, right)))
