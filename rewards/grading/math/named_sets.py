"""Sets that have a name: the real numbers, the integers, and the set of no solutions."""

from rewards.grading.math.answer import Answer, Group, Quantity
from rewards.grading.math.families import NAMED_FAMILIES
from rewards.grading.math.tree import Constant, Negative

_INFINITY = Constant("∞")
EMPTY_SET = Group("⦃⦄", ())
ALL_REALS = Group("()", (Quantity(Negative(_INFINITY)), Quantity(_INFINITY)))
_NO_SOLUTION = {
    *("no solution", "no solutions", "no real solution", "no real solutions", "the empty set", "empty set"),
    *("there is no solution", "there are no solutions", "no such value", "no roots", "no real roots", "无解", "空集"),
}


def named_set(text: str) -> Answer | None:
    """The set that `text` names, in LaTeX or in words of any case; None for anything else."""
    words = text.strip().lower()
    return EMPTY_SET if words in _NO_SOLUTION else NAMED_FAMILIES.get(text) or NAMED_FAMILIES.get(words)
