"""Whether two structures (`rewards.grading.math.structure`) are equivalent: part by part, down to the values.

Rules that are choices: a missing unit, percent sign, base subscript or variable name is forgiven, a different one is
not; lists and sets ignore order, tuples and intervals do not; the brackets of a pair count, those of longer tuples do
not.
"""

import re
from fractions import Fraction

from rewards.grading.math.answer import (
    Answer,
    Assignment,
    Based,
    Chain,
    Clock,
    Complement,
    Equation,
    Family,
    Group,
    Intersection,
    Matrix,
    Quantity,
    Ratio,
    Text,
    Union,
)
from rewards.grading.math.families import renamed, same_family
from rewards.grading.math.intervals import same_set
from rewards.grading.math.parser import arrangements
from rewards.grading.math.quantities import equal_quantities
from rewards.grading.math.ratios import as_ratio, same_as_ratio, same_clock, same_ratio
from rewards.grading.math.same_value import proportional
from rewards.grading.math.series import product_of
from rewards.grading.math.tree import Constant, Negative, Node, Number, Product, Sum, Variable, variables

_ARTICLE = re.compile(r"^(?:the|an?)\s+(?=\w{2})")
_NOT_WORD = re.compile(r"[\W_]+")
_SYNONYMS = {  # without spaces
    **dict.fromkeys(
        ("dne", "doesnotexist", "undefined", "notdefined", "isundefined", "limitdoesnotexist", "不存在"), "dne"
    ),
    **dict.fromkeys(("impossible", "notpossible", "itisimpossible", "itisnotpossible", "不可能"), "impossible"),
}
_CALLED = re.compile(r"([A-Za-z]+)\(([A-Za-z])\)")
_DIRECTIONS = (Constant("i"), Variable("i"), Variable("j"), Variable("k"))
_ZERO = Number(Fraction(0))
_MOST_PAIRS = 2_500  # comparisons of one list's elements with another's


def equal(gold: Answer, answer: Answer) -> bool | None:
    """Whether two structures are equivalent; None when that can't be decided here. Raises TooBig."""
    if isinstance(gold, Family) or isinstance(answer, Family):
        return _equal_families(gold, answer)
    if isinstance(gold, Clock | Ratio) or isinstance(answer, Clock | Ratio):
        return _equal_ratios(gold, answer)
    if isinstance(gold, Chain) or isinstance(answer, Chain):
        return _equal_chains(gold, answer)
    if _has_equation(gold) or _has_equation(answer):
        return _equal_named(gold, answer)
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return equal_quantities(gold, answer)
    if isinstance(gold, Text) or isinstance(answer, Text):
        return _equal_texts(gold, answer)
    if isinstance(gold, Based) or isinstance(answer, Based):
        return _equal_based(gold, answer)
    if isinstance(gold, Matrix) or isinstance(answer, Matrix):
        return _equal_matrices(gold, answer)
    if isinstance(gold, Union | Intersection | Complement) or isinstance(answer, Union | Intersection | Complement):
        return _equal_unions(gold, answer)
    if isinstance(gold, Group) and isinstance(answer, Group):
        return _equal_groups(gold, answer)
    if isinstance(gold, Group) != isinstance(answer, Group):
        vectors = [_vector(side) if isinstance(side, Quantity) else side for side in (gold, answer)]
        if isinstance(vectors[0], Group) and isinstance(vectors[1], Group):
            return _equal_groups(vectors[0], vectors[1])
    if isinstance(gold, Group):
        return _equal_single(gold, answer, is_gold=True)
    if isinstance(answer, Group):
        return _equal_single(answer, gold, is_gold=False)
    return None


def words_of(text: str) -> str:
    """Words to compare: without case, article, punctuation and white space."""
    text = text.replace("\\text", " ").replace("′", "prime").casefold()
    words = _NOT_WORD.sub("", _ARTICLE.sub("", _NOT_WORD.sub(" ", text).strip()))
    return _SYNONYMS.get(words, words)


def _equal_texts(gold: Answer, answer: Answer) -> bool:
    return bool(_spelled(gold)) and _spelled(gold) == _spelled(answer)


def _spelled(answer: Answer) -> str:
    """A text's words, or the variables of a product as one."""
    if isinstance(answer, Text):
        return words_of(answer.words)
    if not isinstance(answer, Quantity):
        return ""
    nodes = answer.node.factors if isinstance(answer.node, Product) else (answer.node,)
    return "".join(node.name for node in nodes if isinstance(node, Variable | Constant)).casefold()


def _equal_based(gold: Answer, answer: Answer) -> bool:
    """The same numeral; a base that is left out is forgiven, another one is not."""
    if isinstance(gold, Based) and isinstance(answer, Based):
        return (gold.digits.lstrip("0"), gold.base) == (answer.digits.lstrip("0"), answer.base)
    based, other = (gold, answer) if isinstance(gold, Based) else (answer, gold)
    if not isinstance(based, Based) or not isinstance(other, Quantity) or not isinstance(other.node, Number):
        return False
    return other.node.decimals is None and based.digits.isdigit() and other.node.value == int(based.digits)


def _equal_matrices(gold: Answer, answer: Answer) -> bool | None:
    """Cell by cell; a row or column equals the tuple of its cells."""
    if isinstance(gold, Matrix) and isinstance(answer, Matrix):
        if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
            return False
        return _all_equal(_cells(gold), _cells(answer))
    matrix, other = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
    nested = _rows(other)
    if isinstance(matrix, Matrix) and nested is not None:
        return equal(matrix, nested) if matrix is gold else equal(nested, matrix)
    if not isinstance(matrix, Matrix) or not isinstance(other, Group) or other.brackets not in ("()", "[]"):
        return False
    if len(matrix.rows) > 1 and any(len(row) > 1 for row in matrix.rows):
        return False
    return _all_equal(_cells(matrix), other.items)


def _rows(other: Answer) -> Matrix | None:
    """`[[1,2],[3,4]]` as a matrix."""
    if not isinstance(other, Group) or other.brackets not in ("[]", "()", "") or len(other.items) < 2:
        return None
    rows = [item.items for item in other.items if isinstance(item, Group) and item.brackets in ("[]", "()")]
    return Matrix(tuple(rows)) if len(rows) == len(other.items) else None


def _cells(matrix: Matrix) -> tuple[Answer, ...]:
    return tuple(cell for row in matrix.rows for cell in row)


def _equal_unions(gold: Answer, answer: Answer) -> bool | None:
    """As sets of real numbers where they are; else part by part in any order, or SymPy's business."""
    sets = Group | Union | Intersection | Complement
    if not isinstance(gold, sets) or not isinstance(answer, sets):
        return False
    same = same_set(gold, answer)
    if same is None and isinstance(gold, Union) and isinstance(answer, Union) and len(gold.parts) == len(answer.parts):
        return _matched(gold.parts, answer.parts)
    return same


def _equal_single(group: Group, single: Answer, is_gold: bool) -> bool | None:
    """A list of one is its element; "2,74" is a number where the gold answer is that decimal."""
    if len(group.items) == 1:
        return equal(group.items[0], single) if is_gold else equal(single, group.items[0])
    if not group.brackets and isinstance(single, Quantity) and _is_repeated(group):
        return equal(single, group.items[0])  # "1 and only 1"
    if group.decimal is None or not isinstance(single, Quantity):
        return False
    if not all(isinstance(item, Quantity) and _number(item.node) is not None for item in group.items):
        return False
    number = _number(single.node)
    return (
        number is not None and number == group.decimal and number.denominator > 1 and (group.is_decimal or not is_gold)
    )


def _number(node: Node) -> Fraction | None:
    """A plain number with its sign; None for anything else."""
    match node:
        case Number(value):
            return value
        case Negative(operand):
            inner = _number(operand)
            return None if inner is None else -inner
    return None


def _equal_groups(gold: Group, answer: Group) -> bool | None:
    """Lists and sets in any order; tuples and intervals in theirs, with the same brackets where they are pairs."""
    if gold.name and answer.name and gold.name != answer.name:
        return False
    kinds = (gold.brackets, answer.brackets)
    if all(kind == "⦃⦄" for kind in kinds) and not (gold.items and answer.items):
        return not gold.items and not answer.items
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


def _vector(value: Quantity) -> Group | None:
    """`i + 2j` as (1, 2); None for what is no sum of multiples of i, j, k."""
    terms = value.node.terms if isinstance(value.node, Sum) else (value.node,)
    found: dict[str, Node] = {}
    for term in terms:
        unsigned = term.operand if isinstance(term, Negative) else term
        parts = unsigned.factors if isinstance(unsigned, Product) else (unsigned,)
        directions = [part.name for part in parts if isinstance(part, Variable | Constant) and part in _DIRECTIONS]
        if len(directions) != 1 or directions[0] in found:
            return None
        rest = [part for part in parts if part not in _DIRECTIONS]
        size = product_of(rest) if rest else Number(Fraction(1))
        found[directions[0]] = Negative(size) if isinstance(term, Negative) else size
    if "j" not in found:
        return None
    return Group("()", tuple(Quantity(found.get(name, _ZERO)) for name in ("ijk" if "k" in found else "ij")))


def _is_repeated(group: Group) -> bool:
    return all(equal(group.items[0], item) for item in group.items[1:])


def _equal_families(gold: Answer, answer: Answer) -> bool | None:
    """As sets of values for all integers; which of the two says what its letter stands for does not matter."""
    if isinstance(gold, Assignment) or isinstance(answer, Assignment):
        return equal(_value(gold), _value(answer))
    family, other = (gold, answer) if isinstance(gold, Family) else (answer, gold)
    assert isinstance(family, Family)
    if isinstance(family.value, Assignment | Family):
        family = Family(_value(family.value), family.names, family.domain)
    if isinstance(other, Family) and isinstance(other.value, Assignment):
        other = Family(other.value.value, other.names, other.domain)
    if isinstance(other, Family | Quantity) and isinstance(family.value, Quantity):
        return same_family(family, other)
    value = other.value if isinstance(other, Family) else other
    names = other.names if isinstance(other, Family) else family.names
    if isinstance(value, Quantity) or len(names) != len(family.names):
        return False
    renaming = dict(zip(names, family.names, strict=True))
    first, second = (family.value, _renamed(value, renaming)) if family is not answer else (value, family.value)
    return equal(first, second)


def _value(answer: Answer) -> Answer:
    return answer.value if isinstance(answer, Assignment) else answer


def _renamed(answer: Answer, names: dict[str, str]) -> Answer:
    """A value, or a list of values, with other names for its variables."""
    if isinstance(answer, Quantity):
        return Quantity(renamed(answer.node, names), answer.unit, answer.sign)
    if isinstance(answer, Group):
        return Group(answer.brackets, tuple(_renamed(item, names) for item in answer.items), answer.name)
    return Assignment(answer.name, _renamed(answer.value, names)) if isinstance(answer, Assignment) else answer


def _equal_ratios(gold: Answer, answer: Answer) -> bool | None:
    """Times of day, ratios, and a ratio of two as its quotient."""
    gold, answer = _value(gold), _value(answer)
    if isinstance(gold, Clock) and isinstance(answer, Clock):
        return same_clock(gold, answer)
    for clock, other in ((gold, answer), (answer, gold)):
        if isinstance(clock, Clock) and clock.half and not clock.minute and isinstance(other, Quantity):
            return isinstance(other.node, Number) and other.node.value == clock.hour
    ratios = [as_ratio(side) if isinstance(side, Clock) else side for side in (gold, answer)]
    if isinstance(ratios[0], Ratio) and isinstance(ratios[1], Ratio):
        return same_ratio(ratios[0], ratios[1])
    for ratio, value in (ratios, ratios[::-1]):
        if isinstance(ratio, Ratio) and isinstance(value, Quantity):
            return same_as_ratio(ratio, value)
    return False


def _equal_chains(gold: Answer, answer: Answer) -> bool | None:
    """`a < b < c`: the same sides in the same order; of two sides, the same half-plane."""
    if not isinstance(gold, Chain) or not isinstance(answer, Chain):
        return False if isinstance(gold, Chain) and isinstance(answer, Quantity | Text) else None
    if gold.marks != answer.marks:
        return False
    same = _all_equal(gold.sides, answer.sides)
    if same or len(gold.sides) > 2:
        return same
    sides = [side.node for side in (*gold.sides, *answer.sides) if isinstance(side, Quantity)]
    if len(sides) < 4:
        return same
    return proportional((sides[0], sides[1]), (sides[2], sides[3]), is_positive=True)


def _has_equation(answer: Answer) -> bool:
    """Whether it is an equation, or a list of them."""
    if isinstance(answer, Group) and answer.brackets in ("", "⦃⦄", "()"):
        return bool(answer.items) and all(isinstance(item, Assignment | Equation) for item in answer.items)
    return isinstance(answer, Assignment | Equation)


def _equal_named(gold: Answer, answer: Answer) -> bool | None:
    """Equations, values with names, and systems of them."""
    systems = _system(gold), _system(answer)
    if systems[0] and systems[1]:
        if systems[0].keys() != systems[1].keys():
            return False
        return _all_equal(tuple(systems[0].values()), tuple(systems[1][name] for name in systems[0]))
    for system, other, is_gold in ((systems[0], answer, True), (systems[1], gold, False)):
        if system and isinstance(other, Group):  # y = 2, x = 1 is (1, 2)
            values = tuple(system[name] for name in sorted(system))
            if other.brackets not in ("", "()", "[]"):
                return False
            return _all_equal(values, other.items) if is_gold else _all_equal(other.items, values)
    if isinstance(gold, Group) or isinstance(answer, Group):
        return _equal_lists_of_equations(gold, answer)
    if isinstance(gold, Assignment) and isinstance(answer, Assignment):
        return _equal_assignments(gold, answer)
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


def _equal_lists_of_equations(gold: Answer, answer: Answer) -> bool | None:
    """Each equation of one side on the other; `x = 1 or x = 2` as a list or set of values."""
    sides = [side.items if isinstance(side, Group) else (side,) for side in (gold, answer)]
    plain = [side for side in (gold, answer) if not _has_equation(side)]
    if plain and not (isinstance(plain[0], Group) and plain[0].brackets in ("", "⦃⦄")):
        if len(sides[0]) != 1 or len(sides[1]) != 1:
            whole = _value(answer) if isinstance(answer, Assignment) else _value(gold)
            other = gold if isinstance(answer, Assignment) else answer
            is_single = isinstance(answer, Assignment) or isinstance(gold, Assignment)
            return equal(other, whole) if is_single and not isinstance(whole, Assignment) else False
        return equal(sides[0][0], sides[1][0])
    names = {item.name for side in sides for item in side if isinstance(item, Assignment)}
    if plain and len(names) > 1:
        return False
    if plain and any(isinstance(side, Assignment) for side in (gold, answer)):
        return equal(_value(gold), _value(answer))
    branches = [[equation for item in side for equation in _branches(item) or ()] for side in sides]
    if not plain and all(len(found) >= len(side) for found, side in zip(branches, sides, strict=True)):
        return _same_equations(branches[0], branches[1])
    return _matched(sides[0], sides[1])


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


def _equal_assignments(gold: Assignment, answer: Assignment) -> bool | None:
    """The same value under the same name; a function's argument may have another one."""
    called = _CALLED.fullmatch(gold.name), _CALLED.fullmatch(answer.name)
    if called[0] and called[1] and called[0][1] == called[1][1]:
        return equal(gold.value, _renamed(answer.value, {called[1][2]: called[0][2]}))
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
