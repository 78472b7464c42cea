"""Whether an answer leaves its arithmetic to the grader: `(16-3-4)*2` instead of 18."""

import math
import re

from rewards.grading.prose import tidy

_LONGEST = 1_000  # characters of an answer that is looked at
_SPELLED = (
    (re.compile(r"\\(?:left|right|displaystyle|[,;:! ])|\\text\s*\{[^{}]*\}|\\?[$€£¥%]"), ""),
    (re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])|[×·⋅∙]|\*\*"), "*"),
    (re.compile(r"\\div(?![A-Za-z])|[÷∕]"), "/"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"\\[dt]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))"), r" (\1\2)/(\3\4)"),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"\s+[A-Za-z][A-Za-z ]*$"), ""),  # a unit
)
_ARITHMETIC = re.compile(r"[\d.+\-*/^!(){}\s]+|\\binom\s*\{\d+\}\s*\{\d+\}|C\(\d+,\s*\d+\)")
_SQUARE_ROOT = re.compile(r"\\sqrt\s*\{(\d{1,300})\}")
_VALUE = re.compile(  # a number, a mixed number, a fraction, a number in scientific notation
    r"[-+]?\s*(?:[\d.]+|(?:\d+\s+)?\(?-?\s*(\d{1,300})\)?\s*/\s*\(?(\d{1,300})\)?"
    r"|[\d.]+\s*\*\s*10\s*\^\s*(?:\{-?\d+\}|-?\d))"
)


def is_unevaluated(answer: str) -> bool:
    """Whether `answer`, or an element of it, is an expression of numbers that has not been worked out.

    `20-2`, `9*2`, `36/2`, `5!`, `\\sqrt{324}` are; `18`, `3/4`, `3 1/2`, `2\\sqrt{3}`, `1.5*10^6` and `9*2 = 18` are
    not: a fraction counts as worked out unless it is a whole number.
    """
    if len(answer) > _LONGEST or answer.isalnum():
        return False
    text = tidy(answer)
    for pattern, replacement in _SPELLED:
        text = pattern.sub(replacement, text)
    return any(_is_open(part) for part in re.split(r"[,;]", text))


def _is_open(part: str) -> bool:
    """Whether no side of an equation, or the one expression that there is, is a value."""
    sides = [side.strip() for side in part.split("=")]
    return all((_ARITHMETIC.fullmatch(side) and not _is_value(side)) or _is_whole_root(side) for side in sides)


def _is_value(side: str) -> bool:
    found = _VALUE.fullmatch(side) or _VALUE.fullmatch(side.removeprefix("(").removesuffix(")"))
    if not found:
        return False
    return found[1] is None or (int(found[2]) > 1 and int(found[1]) % int(found[2]) != 0)


def _is_whole_root(side: str) -> bool:
    found = _SQUARE_ROOT.fullmatch(side)
    return found is not None and math.isqrt(int(found[1])) ** 2 == int(found[1])
