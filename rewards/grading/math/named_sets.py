"""Sets that have a name: the real numbers, the integers, the empty set."""

from rewards.grading.math.answer import Answer, Group, Quantity
from rewards.grading.math.families import NAMED_FAMILIES
from rewards.grading.math.tree import Constant, Negative

_INFINITY = Constant("∞")
EMPTY_SET = Group("⦃⦄", ())
ALL_REALS = Group("()", (Quantity(Negative(_INFINITY)), Quantity(_INFINITY)))
_NAMED_SETS = {
    **dict.fromkeys(
        (
            *("no solution", "no solutions", "no real solution", "no real solutions", "the empty set", "empty set"),
            *("there is no solution", "there are no solutions", "no such value", "no roots", "no real roots"),
            *("无解", "空集"),
        ),
        EMPTY_SET,
    ),
    **dict.fromkeys(
        (
            *("\\mathbb{R}", "\\mathbb R", "\\R", "\\Reals", "all reals", "the reals", "reals", "real numbers"),
            *("all real numbers", "the real numbers", "any real number", "the set of real numbers"),
            *("the set of all real numbers", "全体实数"),
        ),
        ALL_REALS,
    ),
    **NAMED_FAMILIES,
}


def named_set(text: str) -> Answer | None:
    """The set that `text` names, in LaTeX or in words of any case; None for anything else."""
    name = text.strip()
    return _NAMED_SETS.get(name) or _NAMED_SETS.get(name.lower())
