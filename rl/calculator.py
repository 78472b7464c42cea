"""A calculator as an environment, in the form that TRL's `environment_factory` takes: `rl.calculator:Calculator`."""

import ast
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

LONGEST = 200
"""Characters of an expression."""
LARGEST = 10**60
"""Beyond it nothing is calculated, so that no call takes long."""
OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


class Calculator:
    """One rollout's calculator; `values` holds what it calculated since the last `reset`, for rewards that ask."""

    def __init__(self) -> None:
        self.values: list[str] = []

    def reset(self, **row: Any) -> None:
        """Forget the last rollout; nothing is added to the question."""
        self.values = []

    def calculate(self, expression: str) -> str:
        """Calculates an arithmetic expression.

        Args:
            expression: Numbers with + - * / // % ** and parentheses, such as "(17 + 5) * 3".

        Returns:
            The value.
        """
        value = shown(evaluate(expression))
        self.values.append(value)
        return value


def evaluate(expression: str) -> Fraction:
    """The exact value of an expression of numbers. Raises `ValueError`, with what is wrong, for anything else."""
    if len(expression) > LONGEST:
        raise ValueError(f"the expression is longer than {LONGEST} characters")
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except SyntaxError:
        raise ValueError(f"can't read {expression!r}") from None
    except ZeroDivisionError:
        raise ValueError("division by zero") from None


def shown(value: Fraction) -> str:
    """A whole number as it is, another one with ten digits."""
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.10g}"


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(Fraction(str(number)))
        case ast.UnaryOp(op, operand) if type(op) in OPERATIONS:
            return Fraction(OPERATIONS[type(op)](_value(operand)))
        case ast.BinOp(left, ast.Pow(), right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left, op, right) if type(op) in OPERATIONS:
            return _bounded(Fraction(OPERATIONS[type(op)](_value(left), _value(right))))
    raise ValueError(f"can't calculate {ast.unparse(node)!r}: numbers, + - * / // % ** and parentheses alone")


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > LONGEST:
        raise ValueError(f"an exponent has to be a whole number of at most {LONGEST}")
    return _bounded(base ** int(exponent))


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) > LARGEST:
        raise ValueError("the value is too large")
    return value
