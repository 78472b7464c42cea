"""Whether two structures (`rewards.grading.math.structure`) are equivalent: part by part, down to the values.

Rules that are choices: a missing unit, percent sign, base subscript or variable name is forgiven, a different one is
not; lists and sets ignore order, tuples and intervals do not; the brackets of a pair count, those of longer tuples do
not.
"""

import re
from fractions import Fraction

from rewards.grading.math.intervals import same_set
from rewards.grading.math.parser import Node
from rewards.grading.math.same_value import proportional, same_value
from rewards.grading.math.structure import Answer, Assignment, Based, Equation, Group, Matrix, Quantity, Text, Union
from rewards.grading.math.units import Unit, same_unit, unit_of
from rewards.grading.math.value import variables

_ARTICLE = re.compile(r"^(?:the|an?)\s+(?=\w{2})")
_NOT_WORD = re.compile(r"[\W_]+")
_MOST_PAIRS = 2_500  # comparisons of one list's elements with another's
_PERCENT = "percent"


def equal(gold: Answer, answer: Answer) -> bool | None:
    """Whether two structures are equivalent; None when that can't be decided here. Raises TooBig."""
    if isinstance(answer, Assignment) and not isinstance(gold, Assignment | Equation):
        return equal(gold, answer.value)
    if isinstance(gold, Assignment) and not isinstance(answer, Assignment | Equation):
        return equal(gold.value, answer)
    if isinstance(gold, Assignment) and isinstance(answer, Assignment):
        same = equal(gold.value, answer.value)
        return same if same is not True or gold.name == answer.name else _equal_equations(gold, answer) or False
    if isinstance(gold, Quantity) and isinstance(answer, Equation):  # AB + BC = 18, but x - 2 = 0 is not 0
        return not variables(answer.right) and answer.right[:2] != ("num", 0) and equal(gold, Quantity(answer.right))
    if isinstance(gold, Equation) and not isinstance(answer, Equation | Assignment):
        return False
    if isinstance(gold, Equation | Assignment) and isinstance(answer, Equation | Assignment):
        return _equal_equations(gold, answer)
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return _equal_quantities(gold, answer)
    if isinstance(gold, Text) or isinstance(answer, Text):
        return _equal_texts(gold, answer)
    if isinstance(gold, Based) or isinstance(answer, Based):
        return _equal_based(gold, answer)
    if isinstance(gold, Matrix) or isinstance(answer, Matrix):
        return _equal_matrices(gold, answer)
    if isinstance(gold, Union) or isinstance(answer, Union):
        return _equal_unions(gold, answer)
    if isinstance(gold, Group) and isinstance(answer, Group):
        return _equal_groups(gold, answer)
    if isinstance(gold, Group) != isinstance(answer, Group):
        group, single = (gold, answer) if isinstance(gold, Group) else (answer, gold)
        return _equal_single(group, single)  # type: ignore[arg-type]
    return None


def words_of(text: str) -> str:
    """Words to compare: without case, article, punctuation and white space."""
    text = text.replace("\\text", " ").casefold()
    return _NOT_WORD.sub("", _ARTICLE.sub("", _NOT_WORD.sub(" ", text).strip()))


def _equal_texts(gold: Answer, answer: Answer) -> bool:
    return bool(_spelled(gold)) and _spelled(gold) == _spelled(answer)


def _spelled(answer: Answer) -> str:
    """A text's words, or the variables of a product as one."""
    if isinstance(answer, Text):
        return words_of(answer.words)
    if not isinstance(answer, Quantity):
        return ""
    nodes: tuple[Node, ...] = answer.node[1] if answer.node[0] == "mul" else (answer.node,)
    return "".join(node[1] for node in nodes if node[0] in ("var", "const")).casefold()


def _equal_quantities(gold: Quantity, answer: Quantity) -> bool | None:
    signs = (gold.sign, answer.sign)
    units = (gold.unit, answer.unit)
    if units[0] is not None and units[1] is not None:
        factor = same_unit(units[0], units[1])
        return False if factor is None else same_value(gold.node, answer.node, signs, factor)
    same = same_value(gold.node, answer.node, signs)
    percent = _is_percent(units[0]) or _is_percent(units[1])
    if percent:
        hundredth = Fraction(1, 100) if _is_percent(units[1]) else Fraction(100)
        as_number = same_value(gold.node, answer.node, signs, hundredth)
        return as_number or (same and _at_least_one(gold, answer))
    if same is False and answer.node[0] == "mul" and not variables(gold.node):
        return _without_unit_letter(gold, answer)
    return same


def _is_percent(unit: Unit | None) -> bool:
    return unit is not None and unit.powers == ((_PERCENT, 1),)


def _at_least_one(gold: Quantity, answer: Quantity) -> bool:
    """Whether a percentage is 1 or more, where "50" for "50%" is forgiven; below, "0.5" for "0.5%" is not."""
    value = gold.node if gold.node[0] == "num" else answer.node
    return value[0] != "num" or bool(value[1] >= 1)


def _without_unit_letter(gold: Quantity, answer: Quantity) -> bool | None:
    """`5 m` for a gold answer of 5 or 5 metres: the letter behind the number is a unit."""
    number, letter, *rest = answer.node[1]
    unit = unit_of(letter[1]) if letter[0] == "var" and not rest and number[0] == "num" else None
    if unit is None or not unit.powers:
        return False
    factor = Fraction(1) if gold.unit is None else same_unit(gold.unit, unit)
    return False if factor is None else same_value(gold.node, number, (gold.sign, 1), factor)


def _equal_based(gold: Answer, answer: Answer) -> bool:
    """The same numeral; a base that is left out is forgiven, another one is not."""
    if isinstance(gold, Based) and isinstance(answer, Based):
        return (gold.digits.lstrip("0"), gold.base) == (answer.digits.lstrip("0"), answer.base)
    based, other = (gold, answer) if isinstance(gold, Based) else (answer, gold)
    if not isinstance(based, Based) or not isinstance(other, Quantity) or other.node[0] != "num":
        return False
    return other.node[2] is None and based.digits.isdigit() and other.node[1] == int(based.digits)


def _equal_matrices(gold: Answer, answer: Answer) -> bool | None:
    """Cell by cell; a row or column equals the tuple of its cells."""
    if isinstance(gold, Matrix) and isinstance(answer, Matrix):
        if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
            return False
        return _all_equal(_cells(gold), _cells(answer))
    matrix, other = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
    if not isinstance(matrix, Matrix) or not isinstance(other, Group) or other.brackets not in ("()", "[]"):
        return False
    if len(matrix.rows) > 1 and any(len(row) > 1 for row in matrix.rows):
        return False
    return _all_equal(_cells(matrix), other.items)


def _cells(matrix: Matrix) -> tuple[Answer, ...]:
    return tuple(cell for row in matrix.rows for cell in row)


def _equal_unions(gold: Answer, answer: Answer) -> bool | None:
    """As sets of real numbers where they are; else part by part in any order, or SymPy's business."""
    if not isinstance(gold, Group | Union) or not isinstance(answer, Group | Union):
        return False
    same = same_set(gold, answer)
    if same is None and isinstance(gold, Union) and isinstance(answer, Union) and len(gold.parts) == len(answer.parts):
        return _matched(gold.parts, answer.parts)
    return same


def _equal_single(group: Group, single: Answer) -> bool | None:
    """A list of one is its element; "2,74" is a number where the other side is one."""
    if len(group.items) == 1:
        return equal(group.items[0], single)
    if group.decimal is None or not isinstance(single, Quantity):
        return False
    if not all(isinstance(item, Quantity) and _number(item.node) is not None for item in group.items):
        return False
    return _number(single.node) == group.decimal


def _number(node: Node) -> Fraction | None:
    """A plain number with its sign; None for anything else."""
    if node[0] == "neg":
        inner = _number(node[1])
        return None if inner is None else -inner
    return node[1] if node[0] == "num" else None


def _equal_groups(gold: Group, answer: Group) -> bool | None:
    """Lists and sets in any order; tuples and intervals in theirs, with the same brackets where they are pairs."""
    if gold.name and answer.name and gold.name != answer.name:
        return False
    kinds = (gold.brackets, answer.brackets)
    if all(kind in ("", "⦃⦄", "{}") for kind in kinds):
        return _matched(gold.items, answer.items)
    if len(gold.items) != len(answer.items):
        return False
    if "⦃⦄" in kinds:
        return False
    if "" in kinds:
        if set(kinds) != {"", "()"}:
            return False
        ordered = gold.brackets or all(isinstance(item, Assignment) for item in gold.items)  # x = 2, y = 3
        return _all_equal(gold.items, answer.items) if ordered else _matched(gold.items, answer.items)
    if kinds[0] != kinds[1] and len(gold.items) == 2:
        return False
    return _all_equal(gold.items, answer.items)


def _all_equal(golds: tuple[Answer, ...], answers: tuple[Answer, ...]) -> bool | None:
    """In order: False when one pair differs, None when one can't be decided."""
    if len(golds) != len(answers):
        return False
    verdicts = [equal(gold, answer) for gold, answer in zip(golds, answers, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def _matched(golds: tuple[Answer, ...], answers: tuple[Answer, ...]) -> bool | None:
    """In any order: each has its like on the other side; the answer may say one twice, but must not have too few."""
    if len(answers) < len(golds):
        return False
    if len(golds) * len(answers) > _MOST_PAIRS:
        return None
    table = [[equal(gold, answer) for answer in answers] for gold in golds]
    lines = [*table, *([row[at] for row in table] for at in range(len(answers)))]
    if all(True in line for line in lines) and bool(golds) == bool(answers):
        return True
    return None if any(None in line and True not in line for line in lines) else False


def _equal_equations(gold: Answer, answer: Answer) -> bool | None:
    sides = [_sides(gold), _sides(answer)]
    if sides[0] is None or sides[1] is None:
        return None
    return proportional(sides[0], sides[1])


def _sides(answer: Answer) -> tuple[Node, Node] | None:
    if isinstance(answer, Equation):
        return answer.left, answer.right
    if isinstance(answer, Assignment) and isinstance(answer.value, Quantity) and len(answer.name) == 1:
        return ("var", answer.name), answer.value.node
    return None
