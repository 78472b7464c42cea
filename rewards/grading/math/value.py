"""The value of a parsed expression: an exact fraction where it has one, else a complex number; never long computations.

The complex numbers are floats, or mpmath's with more digits (`rewards.grading.math.arithmetic`).

Every step is bounded: an exact number larger than `_MOST_BITS` bits, a factorial of more than `_MOST_FACTORIAL`, or a
float overflow raises `TooBig` at once, which is how towers of powers and factorials of factorials are refused.
"""

import cmath
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

from rewards.grading.math.arithmetic import FLOATS, Arithmetic
from rewards.grading.math.tree import (
    Absolute,
    Binomial,
    Call,
    Ceiling,
    Constant,
    Factorial,
    Floor,
    Gap,
    Log,
    Negative,
    Node,
    Number,
    PlusMinus,
    Power,
    Product,
    Quotient,
    Root,
    Series,
    Several,
    Sum,
    Variable,
)

Value = Fraction | complex

_MOST_BITS = 20_000
_MOST_FACTORIAL = 1_000
_MOST_FACTORS = 12  # of a binomial coefficient that is a polynomial


class TooBig(Exception):
    """Evaluating this would take too long or too much memory: a bomb."""


class Undefined(Exception):
    """No finite value at this point (a pole, 0/0, an infinity)."""


def value_at(node: Node, point: Mapping[str, Fraction], sign: int = 1, arithmetic: Arithmetic = FLOATS) -> Value:
    """The value at `point` (variable → value); `sign` picks the upper (1) or lower (-1) sign of every ±.

    Raises TooBig or Undefined.
    """
    try:
        return _Evaluation(point, sign, arithmetic).of(node)
    except (ZeroDivisionError, ValueError) as error:
        raise Undefined from error
    except OverflowError as error:
        raise TooBig from error


@dataclass(slots=True)
class _Evaluation:
    """The value of every variable, the sign of every ±, and the numbers to compute with."""

    point: Mapping[str, Fraction]
    sign: int
    using: Arithmetic

    def of(self, node: Node) -> Value:
        """The value of one expression; raises what Python does beside TooBig and Undefined."""
        match node:
            case Number(value):
                return value
            case Variable(name):
                return self.point[name]
            case Product(factors):
                return self._joined(operator.mul, factors)
            case Quotient(numerator, denominator):
                return _bounded(_computed(operator.truediv, self.of(numerator), self.of(denominator), self.using))
            case Sum(terms):
                return self._joined(operator.add, terms)
            case Power(base, exponent):
                return _power(self.of(base), self.of(exponent), self.using)
            case Negative(operand):
                return -self.of(operand)
            case Root(degree, radicand):
                return _root(self.of(degree), self.of(radicand), self.using)
            case Constant("∞") | Gap() | Series():
                raise Undefined
            case Constant(name):
                constant: Value = self.using.constants[name]
                return constant
            case Call(function, argument):
                result: Value = self.using.functions[function](self.using.number(self.of(argument)))
                return result
            case Log(base, argument):
                return _logarithm(self.of(argument), self.of(base), self.using)
            case PlusMinus(base, offset, upper):
                middle, distance = self.of(base), self.of(offset)
                return _computed(operator.add, middle, distance if upper == self.sign else -distance, self.using)
            case Several(function, arguments):
                return _of_several(function, [self.of(argument) for argument in arguments])
            case Factorial(operand):
                return _factorial(self.of(operand))
            case Binomial(total, chosen):
                return _binomial(self.of(total), self.of(chosen))
            case Absolute(operand):
                return _absolute(self.of(operand))
            case Floor(operand):
                return Fraction(math.floor(_real(self.of(operand))))
            case Ceiling(operand):
                return Fraction(math.ceil(_real(self.of(operand))))

    def _joined(self, operation: Callable[[Any, Any], Value], parts: tuple[Node, ...]) -> Value:
        """The sum or product of the parts' values."""
        values = [self.of(part) for part in parts]
        total = values[0]
        for value in values[1:]:
            total = _computed(operation, total, value, self.using)
        return _bounded(total)


def _computed(operation: Callable[[Any, Any], Value], left: Value, right: Value, using: Arithmetic) -> Value:
    """`operation` on two fractions, or on two numbers of the precision in use."""
    if isinstance(left, Fraction) != isinstance(right, Fraction):
        left, right = using.number(left), using.number(right)
    return operation(left, right)


def _bounded(value: Value) -> Value:
    if isinstance(value, Fraction):
        if value.numerator.bit_length() + value.denominator.bit_length() > _MOST_BITS:
            raise TooBig
    elif isinstance(value, complex) and not cmath.isfinite(value):
        raise TooBig
    return value


def _power(base: Value, exponent: Value, using: Arithmetic) -> Value:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            power = exponent.numerator
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if base not in (0, 1, -1) and (bits - 1) * abs(power) > _MOST_BITS:
                raise TooBig
            return _bounded(base ** (power if base not in (1, -1) else power % 2))
        if exponent.denominator <= 64 and base >= 0 and abs(exponent.numerator) <= 64:
            root = _exact_root(base, exponent.denominator)
            if root is not None:
                return _power(root, Fraction(exponent.numerator), using)
    if isinstance(exponent, Fraction) and exponent.denominator == 1 and abs(exponent) <= _MOST_FACTORIAL:
        whole: Value = using.number(base) ** exponent.numerator  # more exact than by logarithms
        return _bounded(whole)
    result: Value = using.number(base) ** using.number(exponent)
    return _bounded(result)


def _root(degree: Value, value: Value, using: Arithmetic) -> Value:
    if not isinstance(degree, Fraction) or degree.denominator != 1 or not 1 < degree.numerator <= 64:
        return _power(value, _computed(operator.truediv, Fraction(1), degree, using), using)
    if isinstance(value, Fraction):
        exact = _exact_root(abs(value), degree.numerator)
        if exact is not None and value >= 0:
            return exact
        if degree.numerator % 2 and value < 0:  # the real root, as people mean it
            return -exact if exact is not None else -_power(-value, 1 / degree, using)
    if degree == 2:
        root: Value = using.functions["sqrt"](using.number(value))
        return root
    return _power(value, 1 / degree, using)


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    """The exact root of a fraction that is not negative, if it has one."""
    parts: list[int] = []
    for whole in (value.numerator, value.denominator):
        if whole.bit_length() > 4000:
            return None
        root = math.isqrt(whole) if degree == 2 else _integer_root(whole, degree)
        if root**degree != whole:
            return None
        parts.append(root)
    return Fraction(parts[0], parts[1])


def _integer_root(whole: int, degree: int) -> int:
    low, high = 0, 1 << (whole.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= whole:
            low = middle
        else:
            high = middle - 1
    return low


def _real(value: Value) -> Fraction | float:
    """A real number to compare and to round; raises Undefined for any other."""
    if isinstance(value, Fraction):
        return value
    if abs(value.imag) > 1e-12 * abs(value):
        raise Undefined
    return value.real


def _absolute(value: Value) -> Value:
    return abs(value) if isinstance(value, Fraction) else value * 0 + abs(value)


def _factorial(value: Value) -> Value:
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
        raise Undefined
    if value > _MOST_FACTORIAL:
        raise TooBig
    return Fraction(math.factorial(value.numerator))


def _of_several(name: str, values: list[Value]) -> Value:
    """The greatest, the least, or a common divisor or multiple (for fractions as for integers)."""
    if name in ("max", "min"):
        return (max if name == "max" else min)(values, key=_real)
    whole = [value for value in values if isinstance(value, Fraction) and value]
    if len(whole) < len(values):
        raise Undefined
    return reduce(_gcd if name == "gcd" else _lcm, whole)


def _gcd(left: Fraction, right: Fraction) -> Fraction:
    scale = left.denominator * right.denominator
    return Fraction(math.gcd(int(left * scale), int(right * scale)), scale)


def _lcm(left: Fraction, right: Fraction) -> Fraction:
    return abs(left * right) / _gcd(left, right)


def _binomial(n: Value, k: Value) -> Value:
    """Also of a fraction over a small integer, so that it is a polynomial."""
    if not isinstance(n, Fraction) or not isinstance(k, Fraction) or k.denominator != 1 or k < 0:
        raise Undefined
    if abs(n) > _MOST_FACTORIAL or k > _MOST_FACTORIAL:
        raise TooBig
    if n.denominator == 1 and n >= 0:
        return Fraction(math.comb(n.numerator, k.numerator))
    if k > _MOST_FACTORS:
        raise Undefined
    return math.prod((n - step for step in range(k.numerator)), start=Fraction(1)) / math.factorial(k.numerator)


def _logarithm(argument: Value, base: Value, using: Arithmetic) -> Value:
    logarithm = using.functions["ln"]
    result: Value = logarithm(using.number(argument)) / logarithm(using.number(base))
    return result
