"""Sums and products as they are written, also with an ellipsis: `1 + 2 + … + n`."""

import itertools
from collections.abc import Sequence
from fractions import Fraction

from rewards.grading.math.tree import Gap, Negative, Node, Number, Product, Quotient, Series, Sum, Variable

_ONE, _TWO = Number(Fraction(1)), Number(Fraction(2))


def sum_of(terms: Sequence[Node]) -> Node:
    """The sum of one term or more; of an arithmetic sequence in closed form, where it is clearly one."""
    if len(terms) == 1:
        return terms[0]
    if not _has_gap(terms):
        return Sum(tuple(terms))
    return _arithmetic(terms) or Series("+", tuple(terms))


def product_of(factors: Sequence[Node]) -> Node:
    """The product of one factor or more."""
    if len(factors) == 1:
        return factors[0]
    return Series("*", tuple(factors)) if _has_gap(factors) else Product(tuple(factors))


def _has_gap(nodes: Sequence[Node]) -> bool:
    return any(isinstance(node, Gap) for node in nodes)


def _arithmetic(terms: Sequence[Node]) -> Node | None:
    """The sum of an arithmetic sequence: two numbers or more, an ellipsis, and the last term."""
    gap = terms.index(Gap())
    shown, rest = terms[:gap], terms[gap + 1 :]
    first, numbers = shown[0], [term.value for term in shown if isinstance(term, Number)]
    if len(rest) != 1 or not len(numbers) == len(shown) >= 2 or not _is_linear(rest[0]):
        return None
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if len(steps) != 1 or 0 in steps:
        return None
    last = rest[0]
    if len(shown) == 2 and numbers != [1, 2] and isinstance(last, Number):
        return None  # 2 + 4 + … + 16 may double
    count = Sum((Quotient(Sum((last, Negative(first))), Number(steps.pop())), _ONE))
    return Quotient(Product((count, Sum((first, last)))), _TWO)


def _is_linear(node: Node) -> bool:
    """Whether an expression is made of numbers, variables, sums and products with one variable at most."""
    match node:
        case Number() | Variable():
            return True
        case Negative(operand):
            return _is_linear(operand)
        case Sum(terms):
            return all(map(_is_linear, terms))
        case Product(factors):
            return all(map(_is_linear, factors)) and sum(not isinstance(factor, Number) for factor in factors) <= 1
    return False
