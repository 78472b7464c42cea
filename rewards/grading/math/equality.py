"""Whether two structures (`rewards.grading.math.structure`) are equivalent: part by part, down to the values.

Rules that are choices: a missing unit, percent sign, base subscript or variable name is forgiven, a different one is
not; lists and sets ignore order, tuples and intervals do not; the brackets of a pair count, those of longer tuples do
not.
"""

from rewards.grading.math.answer import (
    Answer,
    Based,
    Chain,
    Clock,
    Complement,
    Family,
    Group,
    Intersection,
    Matrix,
    Quantity,
    Ratio,
    Text,
    Union,
)
from rewards.grading.math.equations import equal_named, has_equation
from rewards.grading.math.families import equal_families
from rewards.grading.math.groups import as_vector, equal_groups, equal_single
from rewards.grading.math.intervals import same_set
from rewards.grading.math.matrices import equal_matrices
from rewards.grading.math.pairing import all_equal, matched
from rewards.grading.math.quantities import equal_quantities
from rewards.grading.math.ratios import equal_ratios
from rewards.grading.math.same_value import proportional
from rewards.grading.math.tree import Number
from rewards.grading.math.words import equal_texts


def equal(gold: Answer, answer: Answer) -> bool | None:
    """Whether two structures are equivalent; None when that can't be decided here. Raises TooBig."""
    if isinstance(gold, Family) or isinstance(answer, Family):
        return equal_families(gold, answer, equal)
    if isinstance(gold, Clock | Ratio) or isinstance(answer, Clock | Ratio):
        return equal_ratios(gold, answer)
    if isinstance(gold, Chain) or isinstance(answer, Chain):
        return _equal_chains(gold, answer)
    if has_equation(gold) or has_equation(answer):
        return equal_named(gold, answer, equal)
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return equal_quantities(gold, answer)
    if isinstance(gold, Text) or isinstance(answer, Text):
        return equal_texts(gold, answer)
    if isinstance(gold, Based) or isinstance(answer, Based):
        return _equal_based(gold, answer)
    if isinstance(gold, Matrix) or isinstance(answer, Matrix):
        return equal_matrices(gold, answer, equal)
    if isinstance(gold, Union | Intersection | Complement) or isinstance(answer, Union | Intersection | Complement):
        return _equal_unions(gold, answer)
    if isinstance(gold, Group) and isinstance(answer, Group):
        return equal_groups(gold, answer, equal)
    if isinstance(gold, Group) != isinstance(answer, Group):
        vectors = [as_vector(side) if isinstance(side, Quantity) else side for side in (gold, answer)]
        if isinstance(vectors[0], Group) and isinstance(vectors[1], Group):
            return equal_groups(vectors[0], vectors[1], equal)
    if isinstance(gold, Group):
        return equal_single(gold, answer, equal, is_gold=True)
    if isinstance(answer, Group):
        return equal_single(answer, gold, equal, is_gold=False)
    return None


def _equal_based(gold: Answer, answer: Answer) -> bool:
    """The same numeral; a base that is left out is forgiven, another one is not."""
    if isinstance(gold, Based) and isinstance(answer, Based):
        return (gold.digits.lstrip("0"), gold.base) == (answer.digits.lstrip("0"), answer.base)
    based, other = (gold, answer) if isinstance(gold, Based) else (answer, gold)
    if not isinstance(based, Based) or not isinstance(other, Quantity) or not isinstance(other.node, Number):
        return False
    return other.node.decimals is None and based.digits.isdigit() and other.node.value == int(based.digits)


def _equal_unions(gold: Answer, answer: Answer) -> bool | None:
    """As sets of real numbers where they are; else part by part in any order, or SymPy's business."""
    sets = Group | Union | Intersection | Complement
    if not isinstance(gold, sets) or not isinstance(answer, sets):
        return False
    same = same_set(gold, answer)
    if same is None and isinstance(gold, Union) and isinstance(answer, Union) and len(gold.parts) == len(answer.parts):
        return matched(gold.parts, answer.parts, equal)
    return same


def _equal_chains(gold: Answer, answer: Answer) -> bool | None:
    """`a < b < c`: the same sides in the same order; of two sides, the same half-plane."""
    if not isinstance(gold, Chain) or not isinstance(answer, Chain):
        return False if isinstance(gold, Chain) and isinstance(answer, Quantity | Text) else None
    if gold.marks != answer.marks:
        return False
    same = all_equal(gold.sides, answer.sides, equal)
    if same or len(gold.sides) > 2:
        return same
    sides = [side.node for side in (*gold.sides, *answer.sides) if isinstance(side, Quantity)]
    if len(sides) < 4:
        return same
    return proportional((sides[0], sides[1]), (sides[2], sides[3]), is_positive=True)
