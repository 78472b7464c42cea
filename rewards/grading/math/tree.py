"""The tree of one value that was read: numbers, variables and constants, and what is made of them.

Nothing here is evaluated or simplified: `1/2` is a quotient of two numbers. Two trees are equal when they are written
alike; whether they have the same value is `rewards.grading.math.same_value`'s business.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number; `decimals` counts the digits behind its point, and is None without a point."""

    value: Fraction
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """`x`, `x_1`, `f′`"""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """`name` is "π", "e", "i" or "∞"."""

    name: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The ellipsis in `1 + 2 + … + n`."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Two terms or more."""

    terms: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Product:
    """Two factors or more."""

    factors: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Series:
    """A sum ("+") or product ("*") whose terms are not all written: there is a `Gap` among them."""

    operator: Literal["+", "*"]
    terms: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Quotient:
    """`numerator / denominator`"""

    numerator: "Node"
    denominator: "Node"


@dataclass(frozen=True, slots=True)
class Power:
    """`base ^ exponent`"""

    base: "Node"
    exponent: "Node"


@dataclass(frozen=True, slots=True)
class Root:
    """The root of `radicand`; a square root has degree 2."""

    degree: "Node"
    radicand: "Node"


@dataclass(frozen=True, slots=True)
class Log:
    """The logarithm of `argument` to `base`."""

    base: "Node"
    argument: "Node"


@dataclass(frozen=True, slots=True)
class Negative:
    """`-operand`"""

    operand: "Node"


@dataclass(frozen=True, slots=True)
class PlusMinus:
    """`base ± offset` (`sign` 1) or `base ∓ offset` (`sign` -1)."""

    base: "Node"
    offset: "Node"
    sign: int


@dataclass(frozen=True, slots=True)
class Call:
    """An elementary function, by its LaTeX name, of one argument."""

    function: str
    argument: "Node"


@dataclass(frozen=True, slots=True)
class Several:
    """`function` is "gcd", "lcm", "max" or "min"."""

    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Binomial:
    """`total` choose `chosen`."""

    total: "Node"
    chosen: "Node"


@dataclass(frozen=True, slots=True)
class Factorial:
    """`operand!`"""

    operand: "Node"


@dataclass(frozen=True, slots=True)
class Absolute:
    """`|operand|`"""

    operand: "Node"


@dataclass(frozen=True, slots=True)
class Floor:
    """`⌊operand⌋`"""

    operand: "Node"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """`⌈operand⌉`"""

    operand: "Node"


Node = (
    Number
    | Variable
    | Constant
    | Gap
    | Sum
    | Product
    | Series
    | Quotient
    | Power
    | Root
    | Log
    | Negative
    | PlusMinus
    | Call
    | Several
    | Binomial
    | Factorial
    | Absolute
    | Floor
    | Ceiling
)


def variables(node: Node) -> set[str]:
    """The names of the free variables."""
    match node:
        case Number() | Constant():
            return set()
        case Variable(name):
            return {name}
    names: set[str] = set()
    for child in _children(node):
        names |= variables(child)
    return names


def has_sign(node: Node) -> bool:
    """Whether the expression holds a ± or ∓."""
    return isinstance(node, PlusMinus) or any(map(has_sign, _children(node)))


def contains(node: Node, part: Node) -> bool:
    """Whether `part` is the expression or stands somewhere inside it."""
    return node == part or any(contains(child, part) for child in _children(node))


def substitute(node: Node, replacements: Mapping[Node, Node]) -> Node:
    """The expression with other variables, constants and numbers: each key gives way to its value."""
    if isinstance(node, Number | Variable | Constant | Gap):
        return replacements.get(node, node)
    return _rebuilt(node, lambda child: substitute(child, replacements))


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Number() | Variable() | Constant() | Gap():
            return ()
        case Sum(parts) | Product(parts) | Series(_, parts) | Several(_, parts):
            return parts
        case Quotient(left, right) | Power(left, right) | Root(left, right) | Log(left, right):
            return left, right
        case Binomial(left, right) | PlusMinus(left, right):
            return left, right
        case Negative(inner) | Call(_, inner) | Factorial(inner) | Absolute(inner) | Floor(inner) | Ceiling(inner):
            return (inner,)


def _rebuilt(node: Node, change: Callable[[Node], Node]) -> Node:
    """The expression with each of its children changed."""
    match node:
        case Number() | Variable() | Constant() | Gap():
            return node
        case Sum(parts) | Product(parts):
            return type(node)(tuple(map(change, parts)))
        case Series(operator, parts):
            return Series(operator, tuple(map(change, parts)))
        case Several(function, parts):
            return Several(function, tuple(map(change, parts)))
        case Quotient(left, right) | Power(left, right) | Root(left, right) | Log(left, right) | Binomial(left, right):
            return type(node)(change(left), change(right))
        case PlusMinus(base, offset, sign):
            return PlusMinus(change(base), change(offset), sign)
        case Call(function, argument):
            return Call(function, change(argument))
        case Negative(inner) | Factorial(inner) | Absolute(inner) | Floor(inner) | Ceiling(inner):
            return type(node)(change(inner))
