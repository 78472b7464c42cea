"""Whether two quantities (numbers and terms, with a unit or without) are equal."""

import re
from fractions import Fraction

from rewards.grading.math.answer import Quantity
from rewards.grading.math.parser import Node
from rewards.grading.math.same_value import same_value
from rewards.grading.math.units import Unit, is_angle, same_unit, unit_of
from rewards.grading.math.value import variables

_PRODUCT_LETTERS = re.compile(r"[b-df-hj-km-np-tv-z]+|[abcdxyz]+")  # "ab", "mgh": no words, no names of points
_VOWEL = re.compile("[aeiouy]")
_PERCENT = "percent"
_CONSTANTS: tuple[Node, ...] = (("var", "C"), ("var", "c"), ("var", "K"))
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
        if _holds(gold.node, ("const", "i")) and not _holds(answer.node, ("const", "i")):
            return same_value(gold.node, _with_i(answer.node), signs)  # engineers write j
    if same is False and (units[0] is None) != (units[1] is None):
        same = _equal_in_radians(gold, answer)
    percent = _is_percent(units[0]) or _is_percent(units[1])
    if percent:
        hundredth = Fraction(1, 100) if _is_percent(units[1]) else Fraction(100)
        as_number = same_value(gold.node, answer.node, signs, hundredth)
        return as_number or (same and _at_least_one(gold, answer))
    if same is False and answer.node[0] == "mul" and not variables(gold.node):
        return _without_unit_letter(gold, answer)
    return same


def _equal_with_unit_letter(gold: Quantity, answer: Quantity) -> bool | None:
    """`5 N` for `5 newtons`: a capital letter behind a number against that unit; None for anything else."""
    for lettered, other in ((gold, answer), (answer, gold)):
        node = lettered.node
        if other.unit is None or lettered.unit is not None or node[0] != "mul" or len(node[1]) != 2:
            continue
        number, letter = node[1]
        unit = unit_of(letter[1]) if number[0] == "num" and letter[0] == "var" and letter[1] in "NJWVAK" else None
        factor = same_unit(other.unit, unit) if unit is not None else None
        if factor is not None and not (unit and unit.words):
            return same_value(other.node, number, (other.sign, 1), factor)
    return None


def _equal_in_radians(gold: Quantity, answer: Quantity) -> bool | None:
    """`90°` and `\\frac{\\pi}{2}`: degrees against a multiple of π without a unit."""
    unit, other = (gold.unit, answer.node) if gold.unit else (answer.unit, gold.node)
    if unit is None or not is_angle(unit) or not _holds_pi(other):
        return False
    degree = ("mul", (("const", "π"), ("num", unit.size / 180, None)))
    left, right = (("mul", (side.node, degree)) if side.unit else side.node for side in (gold, answer))
    return same_value(left, right, (gold.sign, answer.sign))


def _holds_pi(node: Node) -> bool:
    return _holds(node, ("const", "π"))


def _holds(node: Node, wanted: Node) -> bool:
    """Whether an expression has a part."""
    return node == wanted or any(isinstance(part, tuple) and _holds(part, wanted) for part in node)


def _with_i(node: Node) -> Node:
    """The expression with the imaginary unit for j."""
    if node == ("var", "j"):
        return ("const", "i")
    return tuple(_with_i(part) if isinstance(part, tuple) else part for part in node)


def _without_constant(node: Node) -> Node | None:
    """A sum without its term C; None where there is no such term, or C elsewhere too."""
    if node[0] != "add" or not any(term in _CONSTANTS for term in node[1]):
        return None
    rest = tuple(term for term in node[1] if term not in _CONSTANTS)
    if not rest or not any(variables(term) - {"C", "c", "K"} for term in rest):
        return None
    return rest[0] if len(rest) == 1 else ("add", rest)


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
    value = gold.node if gold.node[0] == "num" else answer.node
    return value[0] != "num" or bool(value[1] >= 1)


def _without_unit_letter(gold: Quantity, answer: Quantity) -> bool | None:
    """`5m` for a gold answer of 5 metres: the letter behind the number is a unit; for 5 it is a product."""
    if gold.unit is None:
        return False
    number, letter, *rest = answer.node[1]
    unit = unit_of(letter[1]) if letter[0] == "var" and not rest and number[0] == "num" else None
    if unit is None or not unit.powers:
        return False
    factor = same_unit(gold.unit, unit)
    return False if factor is None else same_value(gold.node, number, (gold.sign, 1), factor)
