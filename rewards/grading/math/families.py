"""Answers with an integer that may be any: `2kπ (k ∈ Z)`, "all odd integers"; whether two of them are one set."""

import re
from collections.abc import Mapping
from fractions import Fraction

from rewards.grading.math.answer import Answer, Assignment, Family, Group, Quantity, without_name
from rewards.grading.math.pairing import Equal
from rewards.grading.math.same_value import same_value
from rewards.grading.math.tree import Negative, Node, Number, Product, Sum, Variable, substitute, variables

_CLAUSE = re.compile(
    r"\s*[,;(:]?\s*(?:\\text\s*\{)?\s*\(?\s*(?:where|with|and|for (?:all|any|some|every|each)?|for|其中)?\s*"
    r"(?:\\text\s*\{)?\s*"
    r"(?:(?:any |all |an? |some )?integers?|(?:整数))?\s*\}?\s*(?<![A-Za-z\\])([a-z](?:\s*,\s*[a-z])*)\s*"
    r"(?:∈\s*(?:\\mathbb\s*|\\text\s*)?\{?\s*([ZN])\s*\}?\s*(?:[_^]\s*\{?[+*]\}?|\+)?"
    r"|\s*(?:\\text\s*\{)?\s*(?:is |are |为)?(?:an? |any )?(?:integers?|整数)\s*\}?)\s*\)?\s*$"
)
_INTEGER_NAMES = "knm"
_WHOLE = Variable("k")


def _times(factor: int, plus: int = 0) -> Node:
    product = Product((Number(Fraction(factor)), _WHOLE)) if factor != 1 else _WHOLE
    return Sum((product, Number(Fraction(plus)))) if plus else product


NAMED_FAMILIES: Mapping[str, Answer] = {
    **dict.fromkeys(
        ("\\mathbb{Z}", "\\mathbb Z", "integers", "all integers", "the integers", "any integer", "the set of integers"),
        Family(Quantity(_times(1)), ("k",)),
    ),
    **dict.fromkeys(
        ("all odd integers", "odd integers", "all odd numbers", "odd numbers"), Family(Quantity(_times(2, 1)), ("k",))
    ),
    **dict.fromkeys(
        ("all even integers", "even integers", "all even numbers", "even numbers"), Family(Quantity(_times(2)), ("k",))
    ),
    **dict.fromkeys(
        (
            "\\mathbb{N}",
            "\\mathbb N",
            "natural numbers",
            "all natural numbers",
            "positive integers",
            "all positive integers",
        ),
        Family(Quantity(_times(1)), ("k",), "N"),
    ),
}


def integer_clause(text: str) -> tuple[str, tuple[str, ...], str] | None:
    """(what stands before it, names, domain) of a text that ends by saying which letters are integers."""
    if "∈" not in text and "integer" not in text and "整数" not in text:
        return None
    found = _CLAUSE.search(text)
    if not found:
        return None
    names = tuple(name.strip() for name in found[1].split(","))
    if len(set(names)) < len(names):  # "2k, k ∈ Z"
        return text[: found.start(1) + 1].strip(), names[-1:], found[2] or "Z"
    return text[: found.start()].strip(), names, found[2] or "Z"


def equal_families(gold: Answer, answer: Answer, equal: Equal) -> bool | None:
    """As sets of values for all integers; which of the two says what its letter stands for does not matter."""
    if isinstance(gold, Assignment) or isinstance(answer, Assignment):
        return equal(without_name(gold), without_name(answer))
    family, other = (gold, answer) if isinstance(gold, Family) else (answer, gold)
    assert isinstance(family, Family)
    if isinstance(family.value, Assignment | Family):
        family = Family(without_name(family.value), family.names, family.domain)
    if isinstance(other, Family) and isinstance(other.value, Assignment):
        other = Family(other.value.value, other.names, other.domain)
    if isinstance(other, Family | Quantity) and isinstance(family.value, Quantity):
        return _same_family(family, other)
    value = other.value if isinstance(other, Family) else other
    names = other.names if isinstance(other, Family) else family.names
    if isinstance(value, Quantity) or len(names) != len(family.names):
        return False
    renaming = dict(zip(names, family.names, strict=True))
    first, second = (family.value, renamed_answer(value, renaming)) if family is not answer else (value, family.value)
    return equal(first, second)


def _same_family(gold: Family, answer: Answer) -> bool | None:
    """Whether a family equals another, or a value whose letter is not said to be an integer. Raises TooBig."""
    if isinstance(answer, Family) and gold.domain != answer.domain:
        return False
    value = answer.value if isinstance(answer, Family) else answer
    if not isinstance(gold.value, Quantity) or not isinstance(value, Quantity):
        return None
    names = answer.names if isinstance(answer, Family) else _implied(gold, value)
    if len(names) != len(gold.names):
        return False
    node = renamed(value.node, dict(zip(names, gold.names, strict=True)))
    same = same_value(gold.value.node, node, (gold.value.sign, value.sign))
    if same or len(names) != 1 or gold.domain != "Z":
        return same
    return _same_progression(gold.value.node, node, gold.names[0])


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """The expression with other names for its variables."""
    return substitute(node, {Variable(old): Variable(new) for old, new in names.items()})


def renamed_answer(answer: Answer, names: dict[str, str]) -> Answer:
    """A value, or a list of values, with other names for its variables."""
    if isinstance(answer, Quantity):
        return Quantity(renamed(answer.node, names), answer.unit, answer.sign)
    if isinstance(answer, Group):
        return Group(answer.brackets, tuple(renamed_answer(item, names) for item in answer.items), answer.name)
    return Assignment(answer.name, renamed_answer(answer.value, names)) if isinstance(answer, Assignment) else answer


def _implied(gold: Family, value: Quantity) -> tuple[str, ...]:
    """The letters of a value that can only be integers: the gold answer's, or the usual ones."""
    assert isinstance(gold.value, Quantity)
    free = variables(gold.value.node) - set(gold.names)
    found = sorted(variables(value.node) - free)
    return tuple(found) if all(name in _INTEGER_NAMES or name in gold.names for name in found) else ()


def _same_progression(gold: Node, answer: Node, name: str) -> bool | None:
    """`2k+1` and `2k-1`: the same step up to its sign, and starts that differ by whole steps."""
    starts = _at(gold, name, 0), _at(answer, name, 0)
    steps = [_minus(_at(node, name, 1), start) for node, start in zip((gold, answer), starts, strict=True)]
    for node, start, step in zip((gold, answer), starts, steps, strict=True):
        if not same_value(_minus(_at(node, name, 2), start), Product((Number(Fraction(2)), step))):
            return False
    if not same_value(steps[0], steps[1]) and not same_value(steps[0], Negative(steps[1])):
        return False
    gap = _minus(starts[0], starts[1])
    shifts = [Product((Number(Fraction(shift)), steps[0])) for shift in range(-6, 7)]
    return any(same_value(gap, shift) for shift in shifts)


def _at(node: Node, name: str, value: int) -> Node:
    """The expression with a number for one variable."""
    return substitute(node, {Variable(name): Number(Fraction(value))})


def _minus(left: Node, right: Node) -> Node:
    return Sum((left, Negative(right)))
