"""Whether two lists, sets, tuples or intervals, or one of them and a single value, are equivalent."""

from fractions import Fraction

from rewards.grading.math.answer import Answer, Assignment, Group, Quantity
from rewards.grading.math.pairing import Equal, all_equal, matched
from rewards.grading.math.series import product_of
from rewards.grading.math.tree import Constant, Negative, Node, Number, Product, Sum, Variable

_DIRECTIONS = (Constant("i"), Variable("i"), Variable("j"), Variable("k"))
_ZERO = Number(Fraction(0))


def equal_groups(gold: Group, answer: Group, equal: Equal) -> bool | None:
    """Lists and sets in any order; tuples and intervals in theirs, with the same brackets where they are pairs."""
    if gold.name and answer.name and gold.name != answer.name:
        return False
    kinds = (gold.brackets, answer.brackets)
    if all(kind == "⦃⦄" for kind in kinds) and not (gold.items and answer.items):
        return not gold.items and not answer.items
    if all(kind in ("", "⦃⦄", "{}") for kind in kinds):
        return matched(gold.items, answer.items, equal)
    if len(gold.items) != len(answer.items):
        return False
    if "⦃⦄" in kinds:
        return False
    if "" in kinds:
        if set(kinds) != {"", "()"}:
            return False
        ordered = gold.brackets or all(isinstance(item, Assignment) for item in gold.items)  # x = 2, y = 3
        return all_equal(gold.items, answer.items, equal) if ordered else matched(gold.items, answer.items, equal)
    if kinds[0] != kinds[1] and len(gold.items) == 2:
        return False
    return all_equal(gold.items, answer.items, equal)


def equal_single(group: Group, single: Answer, equal: Equal, is_gold: bool) -> bool | None:
    """A list of one is its element; "2,74" is a number where the gold answer is that decimal."""
    if len(group.items) == 1:
        return equal(group.items[0], single) if is_gold else equal(single, group.items[0])
    if not group.brackets and isinstance(single, Quantity) and _is_repeated(group, equal):
        return equal(single, group.items[0])  # "1 and only 1"
    if group.decimal is None or not isinstance(single, Quantity):
        return False
    if not all(isinstance(item, Quantity) and _number(item.node) is not None for item in group.items):
        return False
    number = _number(single.node)
    return (
        number is not None and number == group.decimal and number.denominator > 1 and (group.is_decimal or not is_gold)
    )


def _is_repeated(group: Group, equal: Equal) -> bool:
    return all(equal(group.items[0], item) for item in group.items[1:])


def _number(node: Node) -> Fraction | None:
    """A plain number with its sign; None for anything else."""
    match node:
        case Number(value):
            return value
        case Negative(operand):
            inner = _number(operand)
            return None if inner is None else -inner
    return None


def as_vector(value: Quantity) -> Group | None:
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
