"""Whether two quantities (numbers and terms, with a unit or without) are equal."""

import re
from fractions import Fraction

from rewards.grading.math.answer import Quantity
from rewards.grading.math.same_value import same_value
from rewards.grading.math.tree import Constant, Node, Number, Product, Sum, Variable, contains, substitute, variables
from rewards.grading.math.units import Unit, is_angle, same_unit, unit_of

_PRODUCT_LETTERS = re.compile(r"[b-df-hj-km-np-tv-z]+|[abcdxyz]+")  # "ab", "mgh": no words, no names of points
_VOWEL = re.compile("[aeiouy]")
_PERCENT = "percent"
_CONSTANTS = (Variable("C"), Variable("c"), Variable("K"))  # of integration
_I, _J, _PI = Constant("i"), Variable("j"), Constant("π")
_WORDS_OF_THREE = {
    "yes",
    "no",
    "dne",
    "am",
    "pm",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "red",
    "odd",
    "one",
    "two",
}


def equal_quantities(gold: Quantity, answer: Quantity) -> bool | None:
    """Whether they are; None when that can't be decided here. Raises TooBig."""
    if gold.letters and answer.letters and not _is_product(gold.letters, answer.letters):
        return gold.letters == answer.letters or _same_word(gold.letters, answer.letters)
    signs = (gold.sign, answer.sign)
    units = (gold.unit, answer.unit)
    if units[0] is None or units[1] is None:
        with_letter = _equal_with_unit_letter(gold, answer)
        if with_letter is not None:
            return with_letter
    if units[0] is not None and units[1] is not None:
        factor = same_unit(units[0], units[1])
        return False if factor is None else same_value(gold.node, answer.node, signs, factor)
    same = same_value(gold.node, answer.node, signs)
    if same is False and units == (None, None):
        plain = _without_constant(gold.node)
        if plain is not None:  # the constant of integration may be left out or be named otherwise
            return same_value(plain, _without_constant(answer.node) or answer.node, signs)
        if contains(gold.node, _I) and not contains(answer.node, _I):
            return same_value(gold.node, substitute(answer.node, {_J: _I}), signs)  # engineers write j
    if same is False and (units[0] is None) != (units[1] is None):
        same = _equal_in_radians(gold, answer)
    percent = _is_percent(units[0]) or _is_percent(units[1])
    if percent:
        hundredth = Fraction(1, 100) if _is_percent(units[1]) else Fraction(100)
        as_number = same_value(gold.node, answer.node, signs, hundredth)
        return as_number or (same and _at_least_one(gold, answer))
    if same is False and isinstance(answer.node, Product) and not variables(gold.node):
        return _without_unit_letter(gold, answer.node.factors)
    return same


def _equal_with_unit_letter(gold: Quantity, answer: Quantity) -> bool | None:
    """`5 N` for `5 newtons`: a capital letter behind a number against that unit; None for anything else."""
    for lettered, other in ((gold, answer), (answer, gold)):
        if other.unit is None or lettered.unit is not None:
            continue
        match lettered.node:
            case Product((Number() as number, Variable(letter))) if letter in "NJWVAK":
                unit = unit_of(letter)
                factor = same_unit(other.unit, unit) if unit is not None else None
                if factor is not None and not (unit and unit.words):
                    return same_value(other.node, number, (other.sign, 1), factor)
    return None


def _equal_in_radians(gold: Quantity, answer: Quantity) -> bool | None:
    """`90°` and `\\frac{\\pi}{2}`: degrees against a multiple of π without a unit."""
    unit, other = (gold.unit, answer.node) if gold.unit else (answer.unit, gold.node)
    if unit is None or not is_angle(unit) or not contains(other, _PI):
        return False
    degree = Product((_PI, Number(unit.size / 180)))
    left, right = (Product((side.node, degree)) if side.unit else side.node for side in (gold, answer))
    return same_value(left, right, (gold.sign, answer.sign))


def _without_constant(node: Node) -> Node | None:
    """A sum without its term C; None where there is no such term, or C elsewhere too."""
    if not isinstance(node, Sum) or not any(term in _CONSTANTS for term in node.terms):
        return None
    rest = tuple(term for term in node.terms if term not in _CONSTANTS)
    if not rest or not any(variables(term) - {"C", "c", "K"} for term in rest):
        return None
    return rest[0] if len(rest) == 1 else Sum(rest)


def _is_product(gold: str, answer: str) -> bool:
    """Whether two runs of letters are products of variables: lower case, and none that is a word."""
    return all(_PRODUCT_LETTERS.fullmatch(letters) for letters in (gold, answer))


def _same_word(gold: str, answer: str) -> bool:
    """Whether two runs of letters are one word; the case counts only among symbols (`Mgh`, `mgh`)."""
    return gold.casefold() == answer.casefold() and (
        (bool(_VOWEL.search(gold)) and not gold.islower()) or gold.casefold() in _WORDS_OF_THREE
    )


def _is_percent(unit: Unit | None) -> bool:
    return unit is not None and unit.powers == ((_PERCENT, 1),)


def _at_least_one(gold: Quantity, answer: Quantity) -> bool:
    """Whether a percentage is 1 or more, where "50" for "50%" is forgiven; below, "0.5" for "0.5%" is not."""
    value = gold.node if isinstance(gold.node, Number) else answer.node
    return not isinstance(value, Number) or value.value >= 1


def _without_unit_letter(gold: Quantity, factors: tuple[Node, ...]) -> bool | None:
    """`5m` for a gold answer of 5 metres: the letter behind the number is a unit; for 5 it is a product."""
    if gold.unit is None:
        return False
    match factors:
        case (Number() as number, Variable(letter)):
            unit = unit_of(letter)
            factor = same_unit(gold.unit, unit) if unit is not None and unit.powers else None
            return False if factor is None else same_value(gold.node, number, (gold.sign, 1), factor)
    return False
