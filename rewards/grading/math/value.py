"""The value of a parsed expression: an exact fraction where it has one, else a complex float; never a long computation.

Every step is bounded: an exact number larger than `_MOST_BITS` bits, a factorial of more than `_MOST_FACTORIAL`, or a
float overflow raises `TooBig` at once, which is how towers of powers and factorials of factorials are refused.
"""

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from rewards.grading.math.parser import Node

Value = Fraction | complex

_MOST_BITS = 20_000
_MOST_FACTORIAL = 1_000


class TooBig(Exception):
    """Evaluating this would take too long or too much memory: a bomb."""


class Undefined(Exception):
    """No finite value at this point (a pole, 0/0, an infinity)."""


_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda z: 1 / cmath.tan(z),
    "sec": lambda z: 1 / cmath.cos(z),
    "csc": lambda z: 1 / cmath.sin(z),
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "exp": cmath.exp,
    "ln": cmath.log,
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
}
_CONSTANTS = {"π": complex(math.pi), "e": complex(math.e), "i": 1j}


def evaluate(node: Node, point: Mapping[str, Fraction], sign: int = 1) -> Value:
    """The value at `point` (variable → value); `sign` picks the upper (1) or lower (-1) sign of every ±.

    Raises TooBig or Undefined.
    """
    try:
        return _evaluate(node, point, sign)
    except (ZeroDivisionError, ValueError) as error:
        raise Undefined from error
    except OverflowError as error:
        raise TooBig from error


def variables(node: Node) -> set[str]:
    """The names of the free variables."""
    if node[0] == "var":
        return {node[1]}
    found: set[str] = set()
    for part in node[1:]:
        if isinstance(part, tuple):
            for child in part if part and isinstance(part[0], tuple) else (part,):
                found |= variables(child)
    return found


def has_sign(node: Node) -> bool:
    """Whether the expression holds a ± or ∓."""
    if node[0] == "pm":
        return True
    children = [part for part in node[1:] if isinstance(part, tuple)]
    return any(
        has_sign(child) for part in children for child in (part if part and isinstance(part[0], tuple) else (part,))
    )


def _evaluate(node: Node, point: Mapping[str, Fraction], sign: int) -> Value:
    kind = node[0]
    if kind == "num":
        number: Fraction = node[1]
        return number
    if kind == "var":
        return point[node[1]]
    if kind == "const":
        if node[1] == "∞":
            raise Undefined
        constant: complex = _CONSTANTS[node[1]]
        return constant
    if kind in ("add", "mul"):
        values = [_evaluate(child, point, sign) for child in node[1]]
        total = values[0]
        for value in values[1:]:
            total = total + value if kind == "add" else total * value
        return _bounded(total)
    if kind == "neg":
        return -_evaluate(node[1], point, sign)
    if kind == "pm":
        base, offset = _evaluate(node[1], point, sign), _evaluate(node[2], point, sign)
        return base + offset if node[3] == sign else base - offset
    if kind == "call":
        return _FUNCTIONS[node[1]](complex(_evaluate(node[2], point, sign)))
    if kind == "abs":
        return _absolute(_evaluate(node[1], point, sign))
    if kind == "fact":
        return _factorial(_evaluate(node[1], point, sign))
    if kind == "log":
        return _logarithm(node, point, sign)
    left, right = _evaluate(node[1], point, sign), _evaluate(node[2], point, sign)
    if kind == "div":
        return _bounded(left / right)
    if kind == "pow":
        return _power(left, right)
    if kind == "root":
        return _root(left, right)
    return _binomial(left, right)


def _bounded(value: Value) -> Value:
    if isinstance(value, Fraction):
        if value.numerator.bit_length() + value.denominator.bit_length() > _MOST_BITS:
            raise TooBig
    elif not cmath.isfinite(value):
        raise TooBig
    return value


def _power(base: Value, exponent: Value) -> Value:
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
                return _power(root, Fraction(exponent.numerator))
    return _bounded(complex(base) ** complex(exponent))


def _root(degree: Value, value: Value) -> Value:
    if not isinstance(degree, Fraction) or degree.denominator != 1 or not 1 < degree.numerator <= 64:
        return _power(value, 1 / degree)
    if isinstance(value, Fraction):
        exact = _exact_root(abs(value), degree.numerator)
        if exact is not None and value >= 0:
            return exact
        if degree.numerator % 2 and value < 0:  # the real root, as people mean it
            return -exact if exact is not None else -_power(-value, 1 / degree)
    return cmath.sqrt(value) if degree == 2 else complex(value) ** (1 / complex(degree))


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


def _absolute(value: Value) -> Value:
    return abs(value) if isinstance(value, Fraction) else complex(abs(value))


def _factorial(value: Value) -> Value:
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
        raise Undefined
    if value > _MOST_FACTORIAL:
        raise TooBig
    return Fraction(math.factorial(value.numerator))


def _binomial(n: Value, k: Value) -> Value:
    if not isinstance(n, Fraction) or not isinstance(k, Fraction) or n.denominator != 1 or k.denominator != 1:
        raise Undefined
    if n < 0 or k < 0:
        raise Undefined
    if n > _MOST_FACTORIAL:
        raise TooBig
    return Fraction(math.comb(n.numerator, k.numerator))


def _logarithm(node: Node, point: Mapping[str, Fraction], sign: int) -> Value:
    """`\\log` without a base is common: equal on both sides either way, unless compared with a plain number."""
    argument = complex(_evaluate(node[2], point, sign))
    base = 10 if node[1] is None else complex(_evaluate(node[1], point, sign))
    return cmath.log(argument) / cmath.log(base)
