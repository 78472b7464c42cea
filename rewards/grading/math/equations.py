"""Whether two equations, values with names, or systems of them are equivalent; a missing name is forgiven."""

import re

from rewards.grading.math.answer import Answer, Assignment, Equation, Group, Quantity, without_name
from rewards.grading.math.families import renamed_answer
from rewards.grading.math.pairing import Equal, all_equal, matched
from rewards.grading.math.parser import arrangements
from rewards.grading.math.same_value import proportional
from rewards.grading.math.tree import Node, Number, Variable, variables

_CALLED = re.compile(r"([A-Za-z]+)\(([A-Za-z])\)")


def has_equation(answer: Answer) -> bool:
    """Whether it is an equation, or a list of them."""
    if isinstance(answer, Group) and answer.brackets in ("", "⦃⦄", "()"):
        return bool(answer.items) and all(isinstance(item, Assignment | Equation) for item in answer.items)
    return isinstance(answer, Assignment | Equation)


def equal_named(gold: Answer, answer: Answer, equal: Equal) -> bool | None:
    """Equations, values with names, and systems of them."""
    systems = _system(gold), _system(answer)
    if systems[0] and systems[1]:
        if systems[0].keys() != systems[1].keys():
            return False
        return all_equal(tuple(systems[0].values()), tuple(systems[1][name] for name in systems[0]), equal)
    for system, other, is_gold in ((systems[0], answer, True), (systems[1], gold, False)):
        if system and isinstance(other, Group):  # y = 2, x = 1 is (1, 2)
            values = tuple(system[name] for name in sorted(system))
            if other.brackets not in ("", "()", "[]"):
                return False
            return all_equal(values, other.items, equal) if is_gold else all_equal(other.items, values, equal)
    if isinstance(gold, Group) or isinstance(answer, Group):
        return _equal_lists_of_equations(gold, answer, equal)
    if isinstance(gold, Assignment) and isinstance(answer, Assignment):
        return _equal_assignments(gold, answer, equal)
    if isinstance(gold, Assignment | Equation) and isinstance(answer, Assignment | Equation):
        return _equal_equations(gold, answer)
    if isinstance(answer, Assignment):
        return equal(gold, answer.value)
    if isinstance(gold, Assignment):
        counted = _counted(gold) if isinstance(answer, Quantity) else None
        return equal(counted or gold.value, answer)
    if isinstance(answer, Equation):
        return isinstance(gold, Quantity) and _says(answer) and equal(gold, Quantity(answer.right))
    assert isinstance(gold, Equation)
    return isinstance(answer, Quantity) and _says(gold) and equal(Quantity(gold.right), answer)


def _system(answer: Answer) -> dict[str, Answer] | None:
    """The values of `x = 1, y = 2` by name; None where a name comes twice, or for anything else."""
    if not isinstance(answer, Group) or answer.brackets not in ("", "()") or len(answer.items) < 2:
        return None
    values = {item.name: item.value for item in answer.items if isinstance(item, Assignment)}
    return values if len(values) == len(answer.items) else None


def _equal_lists_of_equations(gold: Answer, answer: Answer, equal: Equal) -> bool | None:
    """Each equation of one side on the other; `x = 1 or x = 2` as a list or set of values."""
    sides = [side.items if isinstance(side, Group) else (side,) for side in (gold, answer)]
    plain = [side for side in (gold, answer) if not has_equation(side)]
    if plain and not (isinstance(plain[0], Group) and plain[0].brackets in ("", "⦃⦄")):
        if len(sides[0]) != 1 or len(sides[1]) != 1:
            whole = without_name(answer) if isinstance(answer, Assignment) else without_name(gold)
            other = gold if isinstance(answer, Assignment) else answer
            is_single = isinstance(answer, Assignment) or isinstance(gold, Assignment)
            return equal(other, whole) if is_single and not isinstance(whole, Assignment) else False
        return equal(sides[0][0], sides[1][0])
    names = {item.name for side in sides for item in side if isinstance(item, Assignment)}
    if plain and len(names) > 1:
        return False
    if plain and any(isinstance(side, Assignment) for side in (gold, answer)):
        return equal(without_name(gold), without_name(answer))
    branches = [[equation for item in side for equation in _branches(item) or ()] for side in sides]
    if not plain and all(len(found) >= len(side) for found, side in zip(branches, sides, strict=True)):
        return _same_equations(branches[0], branches[1])
    return matched(sides[0], sides[1], equal)


def _says(equation: Equation) -> bool:
    """Whether an equation tells the value of its left side (`AB + BC = 18`), not one that is still to be solved."""
    return not variables(equation.right) and not _is_zero(equation.right) and len(variables(equation.left)) > 1


def _is_zero(node: Node) -> bool:
    return isinstance(node, Number) and node.value == 0


def _counted(gold: Assignment) -> Quantity | None:
    """`C(5,2)`, which reads as a point, as a number of combinations."""
    value = gold.value
    if gold.name not in ("C", "P") or not isinstance(value, Group) or value.brackets != "()" or len(value.items) != 2:
        return None
    total, chosen = value.items
    if not isinstance(total, Quantity) or not isinstance(chosen, Quantity):
        return None
    count = arrangements(total.node, chosen.node, are_ordered=gold.name == "P")
    return None if count is None else Quantity(count)


def _equal_assignments(gold: Assignment, answer: Assignment, equal: Equal) -> bool | None:
    """The same value under the same name; a function's argument may have another one."""
    called = _CALLED.fullmatch(gold.name), _CALLED.fullmatch(answer.name)
    if called[0] and called[1] and called[0][1] == called[1][1]:
        return equal(gold.value, renamed_answer(answer.value, {called[1][2]: called[0][2]}))
    same = equal(gold.value, answer.value)
    return same if gold.name == answer.name else _equal_equations(gold, answer) or False


def _equal_equations(gold: Answer, answer: Answer) -> bool | None:
    """The same solutions, up to a factor; with ± each of the two."""
    branches = _branches(gold), _branches(answer)
    if branches[0] is None or branches[1] is None:
        return None
    return _same_equations(branches[0], branches[1])


def _same_equations(golds: list[Equation], answers: list[Equation]) -> bool | None:
    """Each equation of one side on the other, in any order."""
    if len(golds) != len(answers):
        return False
    table = [[_proportional(left, right) for right in answers] for left in golds]
    if all(True in line for line in (*table, *zip(*table, strict=True))):
        return True
    return None if any(None in line for line in table) else False


def _proportional(gold: Equation, answer: Equation) -> bool | None:
    return proportional((gold.left, gold.right), (answer.left, answer.right), (gold.sign, answer.sign))


def _branches(answer: Answer) -> list[Equation] | None:
    """The equations that one stands for: one for each sign of ±."""
    if isinstance(answer, Equation):
        return [answer]
    if not isinstance(answer, Assignment) or len(answer.name) != 1:
        return None
    values = answer.value.items if isinstance(answer.value, Group) and not answer.value.brackets else (answer.value,)
    found = [Equation(Variable(answer.name), value.node, value.sign) for value in values if isinstance(value, Quantity)]
    return found if len(found) == len(values) else None
