"""Whether two expressions have the same value: exactly for numbers, at several rational points for the rest.

An identity of rational functions that holds at random points holds (Schwartz 1980, Zippel 1979); the points here are
fixed, so that a verdict never depends on a seed. What is not rational is compared in complex floats first. Where floats
call two values the same, the difference has to vanish as the digits grow: `e^{40}` and `e^{40}+1` differ, and
`10^{-20}π` is not 0. A variable stands for a real number: an identity holds where both sides are real.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from rewards.grading.math.arithmetic import DIGITS_60, DIGITS_200, FLOATS, Arithmetic
from rewards.grading.math.tree import Constant, Negative, Node, Number, variables
from rewards.grading.math.value import Undefined, Value, value_at

_SAME, _DIFFERENT = 1e-11, 1e-8  # relative differences of floats
_VANISHING = 1e-20  # how much smaller a difference of nothing is with 200 digits than with 60
_NOTHING = 1e-150  # relative size of a difference that is a rounding error of 200 digits
_FINER = (DIGITS_60, DIGITS_200)
_REAL = 1e-12  # relative size of an imaginary part that is a rounding error
_ROUNDED_DIGITS = 6  # decimals, and significant digits, from which on one may be another number's rounding
_SURD_DIGITS = 4  # the same for the decimal of an irrational gold answer, which has no other
# One row a point, one column a variable: large, mixed and small positive values, then both signs.
_FIRST = (
    (Fraction(7, 3), Fraction(11, 5), Fraction(13, 7), Fraction(17, 11), Fraction(19, 13), Fraction(23, 17)),
    (Fraction(5, 11), Fraction(3, 13), Fraction(29, 19), Fraction(31, 23), Fraction(2, 29), Fraction(37, 31)),
    (Fraction(3, 8), Fraction(5, 13), Fraction(2, 7), Fraction(7, 17), Fraction(8, 19), Fraction(4, 23)),
    (Fraction(9, 14), Fraction(1, 11), Fraction(6, 13), Fraction(3, 19), Fraction(5, 21), Fraction(11, 18)),
    (Fraction(67, 3), Fraction(83, 7), Fraction(97, 11), Fraction(73, 5), Fraction(61, 9), Fraction(41, 4)),
    (Fraction(-5, 3), Fraction(9, 7), Fraction(-8, 11), Fraction(14, 13), Fraction(-15, 17), Fraction(21, 19)),
    (Fraction(3, 7), Fraction(-12, 5), Fraction(10, 13), Fraction(-16, 11), Fraction(25, 17), Fraction(-27, 23)),
    (Fraction(-31, 9), Fraction(-19, 6), Fraction(-7, 15), Fraction(-5, 8), Fraction(-4, 9), Fraction(-37, 12)),
)
_POINTS = tuple((*row, *(Fraction(k, k + 4) + at for k in range(5, 50, 2))) for at, row in enumerate(_FIRST))
_INTEGERS = tuple(
    tuple(Fraction(first + (step * column) % 11) for column in range(12))
    for first, step in ((3, 2), (4, 5), (6, 7), (9, 3))
)
_POSITIVE = 5  # rows


def same_value(
    gold: Node, answer: Node, signs: tuple[int, int] = (1, 1), factor: Fraction = Fraction(1)
) -> bool | None:
    """Whether `gold` = `answer` · `factor`; None when that can't be told. `signs` choose the ± on each side.

    Raises TooBig.
    """
    if gold == answer and signs[0] == signs[1] and factor == 1:
        return True
    infinite = (infinite_sign(gold), infinite_sign(answer))
    if any(infinite):
        return infinite[0] == infinite[1]
    names = sorted(variables(gold) | variables(answer))
    if not names:
        return _same_number(gold, answer, signs, factor)

    def sides(point: Mapping[str, Fraction], using: Arithmetic) -> tuple[Value, Value]:
        return value_at(gold, point, signs[0], using), value_at(answer, point, signs[1], using) * factor

    verdict = _same_at_points(sides, names, _POINTS) if len(names) <= len(_POINTS[0]) else None
    if verdict is None and len(names) <= len(_INTEGERS[0]):  # factorials are of integers
        verdict = _same_at_points(sides, names, _INTEGERS)
    return verdict


def proportional(
    gold: tuple[Node, Node], answer: tuple[Node, Node], signs: tuple[int, int] = (1, 1), is_positive: bool = False
) -> bool | None:
    """Whether two equations (left, right) are one: their differences have one ratio, not zero, at all points."""
    names = sorted({name for side in (*gold, *answer) for name in variables(side)})
    if not names or len(names) > len(_POINTS[0]):
        return None
    ratios: list[Value] = []
    for row in _POINTS:
        point = dict(zip(names, row, strict=False))
        try:
            left = value_at(gold[0], point, signs[0]) - value_at(gold[1], point, signs[0])
            right = value_at(answer[0], point, signs[1]) - value_at(answer[1], point, signs[1])
            ratios.append(left / right)
        except (Undefined, ZeroDivisionError):
            continue
    if len(ratios) < 3:
        return None
    verdicts = [is_close(ratios[0], ratio) for ratio in ratios[1:]]
    if None in verdicts:
        return None
    if is_positive and complex(ratios[0]).real < 0:
        return False
    return all(verdicts) and _size(ratios[0]) > 1e-9


def is_close(left: Value, right: Value) -> bool | None:
    """Exact equality of fractions; for floats True, False, or None in the gap between."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    sizes = _size(left), _size(right)
    size = max(sizes)
    if math.isinf(size):
        return None
    difference = _size(left - right)
    if difference <= _SAME * size:
        return True
    if difference > _DIFFERENT * size and (difference > 1e-12 or size < 1e-300):
        return False
    # one of them is a rounding error away from zero, or the floats can't tell
    return True if difference <= 1e-13 and min(sizes) == 0.0 else None


def infinite_sign(node: Node) -> int:
    """1 for ∞, -1 for -∞, else 0."""
    match node:
        case Constant("∞"):
            return 1
        case Negative(Constant("∞")):
            return -1
    return 0


_Sides = Callable[[Mapping[str, Fraction], Arithmetic], tuple[Value, Value]]


def _same_at_points(sides: _Sides, names: list[str], rows: tuple[tuple[Fraction, ...], ...]) -> bool | None:
    """Same wherever both sides are real, or (where they never are) wherever both are defined."""
    real: list[bool] = []
    defined: list[bool | None] = []
    is_confirmed = False
    for row in rows:
        point = dict(zip(names, row, strict=False))
        try:
            left, right = sides(point, FLOATS)
        except Undefined:
            defined.append(None)
            continue
        same = is_close(left, right)
        if same is not False and not (isinstance(left, Fraction) and isinstance(right, Fraction)):
            same, is_confirmed = is_confirmed or _vanishes(sides, point), True
        defined.append(same)
        if _is_real(left) and _is_real(right):
            if not same:
                return False
            real.append(same)
    known = [same for same in defined if same is not None]
    if len(real) >= 2 or (len(known) >= 2 and all(known)):
        return True
    return False if False in defined[:_POSITIVE] else None


def _vanishes(sides: _Sides, point: Mapping[str, Fraction]) -> bool:
    """Whether the difference goes to zero as the digits grow."""
    try:
        pairs = [(using.number(left), using.number(right)) for using in _FINER for left, right in [sides(point, using)]]
    except Undefined:
        return False
    rough, fine = (abs(left - right) for left, right in pairs)
    return bool(fine <= max(rough * _VANISHING, abs(pairs[1][0]) * _NOTHING))


def _is_real(value: Value) -> bool:
    return isinstance(value, Fraction) or abs(value.imag) <= _REAL * abs(value)


def _size(value: Value) -> float:
    """The absolute value as a float, infinite when it is too large for one."""
    try:
        return abs(complex(value))
    except OverflowError:
        return math.inf


def _same_number(gold: Node, answer: Node, signs: tuple[int, int], factor: Fraction) -> bool | None:
    try:
        left = value_at(gold, {}, signs[0])
    except Undefined:
        return None
    try:
        right = value_at(answer, {}, signs[1]) * factor
    except Undefined:
        return False  # the gold answer is a number, this is none
    same = is_close(left, right)
    if same is not False and not (isinstance(left, Fraction) and isinstance(right, Fraction)):

        def sides(point: Mapping[str, Fraction], using: Arithmetic) -> tuple[Value, Value]:
            return value_at(gold, point, signs[0], using), value_at(answer, point, signs[1], using) * factor

        same = _vanishes(sides, {})
    if same is not True and factor == 1:
        return _is_rounding(gold, answer, left, right) or _is_decimal_of(gold, answer, left, right) or same
    return same


def _is_rounding(gold: Node, answer: Node, left: Value, right: Value) -> bool:
    """Whether one side is a decimal of enough digits within one unit of its last place."""
    places = [count for node in (gold, answer) if (count := _decimals(node)) is not None]
    if not places or min(places) < _ROUNDED_DIGITS or math.isinf(_size(left - right)):
        return False
    count = min(places)
    decimal = left if _decimals(gold) == count else right
    if _size(decimal) * 10.0**count < 10 ** (_ROUNDED_DIGITS - 1):
        return False
    return _size(left - right) < max(10.0**-count, 1e-12 * _size(left))


def _is_decimal_of(gold: Node, answer: Node, left: Value, right: Value) -> bool:
    """Whether the gold answer is irrational, and the answer that number rounded to four decimals or more."""
    places = _decimals(answer)
    if places is None or places < _SURD_DIGITS or isinstance(left, Fraction) or math.isinf(_size(left - right)):
        return False
    is_long = _size(right) * 10.0**places >= 10 ** (_SURD_DIGITS - 1)
    return is_long and _size(left - right) <= 0.5000001 * 10.0**-places


def _decimals(node: Node) -> int | None:
    """Digits after the point of a decimal with or without a sign; None for anything else."""
    while isinstance(node, Negative):
        node = node.operand
    return node.decimals if isinstance(node, Number) else None
