"""Answers that would cost minutes or gigabytes to evaluate, recognised by their looks before SymPy sees them."""

import re

_DEEPEST = 20
_MOST_DIGITS = 400
_TOWER = re.compile(r"(?:\^|\*\*)[\s{(]*[\d.]*[^\s+\-=,)}]{0,20}(?:\^|\*\*)[\s{(]*[\w.]+[\s{(]*(?:\^|\*\*)")
_BIG_EXPONENT = re.compile(r"(?:\^|\*\*)[\s{(]*[\d,]{5,}|\d(?:\^|\*\*)[\s{(]*\d+[\s{(]*(?:\^|\*\*)[\s{(]*\d{2,}")
_BIG_FACTORIAL = re.compile(r"\d{4,}[\s})]*!|![\s})]*!")
_DIGITS = re.compile(rf"\d{{{_MOST_DIGITS},}}")
_UNEVALUATED = re.compile(r"\\(?:sum|prod|i*int|oint|lim)(?![a-z])")


def refusal(gold: str, answer: str) -> str | None:
    """Why `answer` must not be evaluated, or None. Linear in its length.

    A sum, product, integral or limit is evaluated only where the gold answer has one too.
    """
    if _UNEVALUATED.search(answer) and not _UNEVALUATED.search(gold):
        return "refused: not evaluated"
    if _DIGITS.search(answer):
        return "refused: too many digits"
    if _TOWER.search(answer) or _BIG_EXPONENT.search(answer):
        return "refused: a tower of powers"
    if _BIG_FACTORIAL.search(answer):
        return "refused: a factorial of something big"
    depth = deepest = 0
    for char in answer:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return "refused: nested too deep" if deepest > _DEEPEST else None
