"""The value of a parsed expression: an exact fraction where it has one, else a complex number; never long computations.

The complex numbers are floats, or mpmath's with more digits where floats can't tell (`Arithmetic`).

Every step is bounded: an exact number larger than `_MOST_BITS` bits, a factorial of more than `_MOST_FACTORIAL`, or a
float overflow raises `TooBig` at once, which is how towers of powers and factorials of factorials are refused.
"""

import cmath
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import mpmath

from rewards.grading.math.parser import Node

Value = Fraction | complex

_MOST_BITS = 20_000
_MOST_FACTORIAL = 1_000
_MOST_FACTORS = 12  # of a binomial coefficient that is a polynomial


class TooBig(Exception):
    """Evaluating this would take too long or too much memory: a bomb."""


class Undefined(Exception):
    """No finite value at this point (a pole, 0/0, an infinity)."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Complex numbers of one precision: how to make one, the functions and the constants."""

    number: Callable[[Any], Any]
    functions: Mapping[str, Callable[[Any], Any]]
    constants: Mapping[str, Any]


def _functions(library: Any) -> dict[str, Callable[[Any], Any]]:
    """The functions that cmath and mpmath share, and their reciprocals."""
    return {
        **{name: getattr(library, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "sqrt")},
        "cot": lambda z: 1 / library.tan(z),
        "sec": lambda z: 1 / library.cos(z),
        "csc": lambda z: 1 / library.sin(z),
        "ln": library.log,
        "arcsin": library.asin,
        "arccos": library.acos,
        "arctan": library.atan,
    }


def _more_digits(digits: int) -> Arithmetic:
    """mpmath's numbers in a context of their own, whose precision nothing else changes."""
    context = mpmath.mp.clone()
    context.dps = digits
    constants = {"π": context.pi(), "e": context.e(), "i": context.mpc(0, 1)}

    def number(value: Any) -> Any:
        if isinstance(value, Fraction):
            return context.mpc(context.mpf(value.numerator) / value.denominator)
        return context.mpc(value)

    return Arithmetic(number, _functions(context), {name: context.mpc(value) for name, value in constants.items()})


FLOATS = Arithmetic(complex, _functions(cmath), {"π": complex(math.pi), "e": complex(math.e), "i": 1j})
DIGITS_60, DIGITS_200 = _more_digits(60), _more_digits(200)


def value_at(node: Node, point: Mapping[str, Fraction], sign: int = 1, arithmetic: Arithmetic = FLOATS) -> Value:
    """The value at `point` (variable → value); `sign` picks the upper (1) or lower (-1) sign of every ±.

    Raises TooBig or Undefined.
    """
    try:
        return _evaluate(node, point, sign, arithmetic)
    except (ZeroDivisionError, ValueError) as error:
        raise Undefined from error
    except OverflowError as error:
        raise TooBig from error


def variables(node: Node) -> set[str]:
    """The names of the free variables."""
    if node[0] == "var":
        return {node[1]}
    names: set[str] = set()
    for part in node[1:]:
        if isinstance(part, tuple):
            for child in part if part and isinstance(part[0], tuple) else (part,):
                names |= variables(child)
    return names


def has_sign(node: Node) -> bool:
    """Whether the expression holds a ± or ∓."""
    if node[0] == "pm":
        return True
    children = [part for part in node[1:] if isinstance(part, tuple)]
    return any(
        has_sign(child) for part in children for child in (part if part and isinstance(part[0], tuple) else (part,))
    )


def _evaluate(node: Node, point: Mapping[str, Fraction], sign: int, using: Arithmetic) -> Value:
    kind = node[0]
    if kind == "num":
        number: Fraction = node[1]
        return number
    if kind == "var":
        return point[node[1]]
    if kind == "const":
        if node[1] == "∞":
            raise Undefined
        constant: Value = using.constants[node[1]]
        return constant
    if kind == "dots":
        raise Undefined
    if kind == "several":
        return _of_several(node[1], [_evaluate(child, point, sign, using) for child in node[2]])
    if kind in ("add", "mul"):
        values = [_evaluate(child, point, sign, using) for child in node[1]]
        total = values[0]
        for value in values[1:]:
            total = _sum(total, value, using) if kind == "add" else _product(total, value, using)
        return _bounded(total)
    if kind == "pm":
        base, offset = _evaluate(node[1], point, sign, using), _evaluate(node[2], point, sign, using)
        return _sum(base, offset if node[3] == sign else -offset, using)
    if kind == "call":
        argument = using.number(_evaluate(node[2], point, sign, using))
        result: Value = using.functions[node[1]](argument)
        return result
    if kind in _OF_ONE:
        return _OF_ONE[kind](_evaluate(node[1], point, sign, using))
    if kind == "log":
        return _logarithm(node, point, sign, using)
    left, right = _evaluate(node[1], point, sign, using), _evaluate(node[2], point, sign, using)
    if kind == "div":
        return _bounded(_quotient(left, right, using))
    if kind == "pow":
        return _power(left, right, using)
    if kind == "root":
        return _root(left, right, using)
    return _binomial(left, right)


def _sum(left: Value, right: Value, using: Arithmetic) -> Value:
    if isinstance(left, Fraction) != isinstance(right, Fraction):
        left, right = using.number(left), using.number(right)
    return left + right


def _product(left: Value, right: Value, using: Arithmetic) -> Value:
    if isinstance(left, Fraction) != isinstance(right, Fraction):
        left, right = using.number(left), using.number(right)
    return left * right


def _quotient(left: Value, right: Value, using: Arithmetic) -> Value:
    if isinstance(left, Fraction) != isinstance(right, Fraction):
        left, right = using.number(left), using.number(right)
    return left / right


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
        return _power(value, _quotient(Fraction(1), degree, using), using)
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


def _real(value: Value) -> Any:
    """A real number to compare and to round; raises Undefined for any other."""
    if isinstance(value, Fraction):
        return value
    if abs(value.imag) > 1e-12 * abs(value):
        raise Undefined
    return value.real


def _absolute(value: Value) -> Value:
    return abs(value) if isinstance(value, Fraction) else value * 0 + abs(value)


def _floor(value: Value) -> Value:
    return Fraction(math.floor(_real(value)))


def _ceiling(value: Value) -> Value:
    return Fraction(math.ceil(_real(value)))


def _factorial(value: Value) -> Value:
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
        raise Undefined
    if value > _MOST_FACTORIAL:
        raise TooBig
    return Fraction(math.factorial(value.numerator))


_OF_ONE: dict[str, Callable[[Value], Value]] = {
    "neg": lambda value: -value,
    "abs": _absolute,
    "fact": _factorial,
    "floor": _floor,
    "ceil": _ceiling,
}


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


def _logarithm(node: Node, point: Mapping[str, Fraction], sign: int, using: Arithmetic) -> Value:
    """`\\log` without a base is common: equal on both sides either way, unless compared with a plain number."""
    argument = using.number(_evaluate(node[2], point, sign, using))
    base = using.number(Fraction(10) if node[1] is None else _evaluate(node[1], point, sign, using))
    result: Value = using.functions["ln"](argument) / using.functions["ln"](base)
    return result
