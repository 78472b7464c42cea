"""Whether the items of two answers are equivalent in pairs: in order, or in any order."""

from collections.abc import Callable

from rewards.grading.math.answer import Answer

Equal = Callable[[Answer, Answer], bool | None]
"""Whether an answer (second) is equivalent to the gold one; None when that can't be decided. May raise TooBig."""
_MOST_PAIRS = 2_500  # comparisons of one list's elements with another's


def all_equal(golds: tuple[Answer, ...], answers: tuple[Answer, ...], equal: Equal) -> bool | None:
    """In order: False when one pair differs, None when one can't be decided."""
    if len(golds) != len(answers):
        return False
    verdicts = [equal(gold, answer) for gold, answer in zip(golds, answers, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def matched(golds: tuple[Answer, ...], answers: tuple[Answer, ...], equal: Equal) -> bool | None:
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
