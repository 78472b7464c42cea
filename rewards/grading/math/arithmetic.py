"""Complex numbers of one precision: floats, or mpmath's with more digits where floats can't tell."""

import cmath
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath


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
