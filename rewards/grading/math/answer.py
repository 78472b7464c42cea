"""The kinds of things that an answer can be."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from rewards.grading.math.tree import Node
from rewards.grading.math.units import Unit


@dataclass(frozen=True, slots=True)
class Text:
    """Words: a name, a direction, a choice."""

    words: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value; `sign` picks one of the two that a ± stands for; `letters` is set where it is a run of letters."""

    node: Node
    unit: Unit | None = None
    sign: int = 1
    letters: str | None = None


@dataclass(frozen=True, slots=True)
class Based:
    """A numeral in a base: `52_8`."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Group:
    """Several answers. `opening` + `closing` is "" (a list), "⦃⦄" (a set), or brackets: a tuple, a point, an interval.

    `name` is the variable of an interval that was written as an inequality. `decimal` is the one number that a list
    may be as well (`2,74`), and `is_decimal` says that nothing else makes sense (`1,05`, `-0,5`).
    """

    brackets: str
    items: tuple["Answer", ...]
    name: str | None = None
    decimal: Fraction | None = None
    is_decimal: bool = False


@dataclass(frozen=True, slots=True)
class Union:
    """Intervals and sets joined by ∪."""

    parts: tuple["Answer", ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of cells."""

    rows: tuple[tuple["Answer", ...], ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """`x = 5`, `f(x) = …`, `Area = …`: a name and its value."""

    name: str
    value: "Answer"


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides, neither of which is a name alone."""

    left: Node
    right: Node
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Chain:
    """`a < b ≤ c` where none of them is a variable between two bounds; written with < and ≤ alone."""

    sides: tuple["Answer", ...]
    marks: str


@dataclass(frozen=True, slots=True)
class Intersection:
    """Conditions on one variable that all hold: `x > 1 and x < 2`."""

    parts: tuple["Answer", ...]


@dataclass(frozen=True, slots=True)
class Complement:
    """All real numbers but these: `x ≠ 1`."""

    of: "Answer"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """`2kπ (k ∈ Z)`: a value for every integer (`domain` Z or N, or "" where none is said) that its names stand for."""

    value: "Answer"
    names: tuple[str, ...]
    domain: str = "Z"


@dataclass(frozen=True, slots=True)
class Ratio:
    """`2 : 3`"""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day: `4:30 p.m.`; `half` is "a", "p", or "" where it is not said."""

    hour: int
    minute: int
    half: str = ""


Answer = (
    Text
    | Quantity
    | Based
    | Group
    | Union
    | Matrix
    | Assignment
    | Equation
    | Chain
    | Intersection
    | Complement
    | Family
    | Ratio
    | Clock
)

Reader = Callable[[str], Answer]
"""Reads a part of an answer; raises `rewards.grading.math.scanner.Unread` where the part is none."""


def without_name(answer: Answer) -> Answer:
    """The value of `x = 5`; any other answer itself."""
    return answer.value if isinstance(answer, Assignment) else answer
