"""What kind of thing an answer is: a value with a unit, a text, a list, interval, union, matrix, equation.

`read_answer` takes the spelling of `normalize` apart, down to the expressions of `parser`: each reader in turn is asked
whether the text is its kind, and reads the parts of its kind through this module again.
"""

import re
from functools import lru_cache, partial

from rewards.grading.math.answer import Answer, Assignment, Family, Matrix, Quantity, Reader, Text
from rewards.grading.math.brackets import MOST_PARTS
from rewards.grading.math.families import integer_clause
from rewards.grading.math.named_sets import named_set
from rewards.grading.math.relations import read_relation
from rewards.grading.math.scanner import Unread
from rewards.grading.math.sets import read_brackets, read_difference, read_list, read_membership, read_union
from rewards.grading.math.single_value import read_single
from rewards.grading.math.tree import Variable

_DEPTH = 12
_WHOLE_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}\.?")
_MATRIX = re.compile(r"\\begin\{(?:[pbB]?matrix|array|smallmatrix)\}(?:\{[clr|\s]*\})?(.*)\\end\{[A-Za-z]+\}")
_WRAPPED_MATRIX = re.compile(r"[(\[]\s*(\\begin.*\\end\{[A-Za-z]+\})\s*[)\]]")
_POINT = re.compile(r"([A-Z])\s*(\([^()]*,[^()]*\))")
_FOR_ALL = re.compile(
    r"[,;]?\s*(?:\\text\s*\{)?\s*for (?:all|any|every|each)\b\s*(?:real|numbers?|\s)*\}?"
    r"\s*[a-z]?\s*(?:∈\s*\\mathbb\s*\{?R\}?)?\s*\}?$"
)


@lru_cache(maxsize=4096)
def read_answer(text: str) -> Answer:
    """The structure of one normalised answer; raises `Unread` when it is none that is known here."""
    return _read(text, 0)


def _read(text: str, depth: int) -> Answer:
    text = text.strip()
    if not text or depth > _DEPTH:
        raise Unread
    read: Reader = partial(_read, depth=depth + 1)
    whole = _WHOLE_TEXT.fullmatch(text)
    if whole:
        return _read_text(whole[1], read)
    if "for " in text:
        text = _FOR_ALL.sub("", text) or text
    if (named := named_set(text)) is not None:
        return named
    clause = integer_clause(text)
    if clause is not None:
        value, names, domain = clause
        return Family(read(value) if value else Quantity(Variable(names[0])), names, domain)
    for reader in _READERS:
        answer = reader(text, read)
        if answer is not None:
            return answer
    return read_single(text)


def _read_text(words: str, read: Reader) -> Answer:
    """`\\text{…}` around a value is the value; around words it is a text."""
    if any(char.isdigit() for char in words):
        try:
            return read(words)
        except Unread:
            pass
    return named_set(words) or Text(words.strip())


def _read_point(text: str, read: Reader) -> Answer | None:
    """`A(1,2)`: a point and its coordinates."""
    match = _POINT.fullmatch(text)
    return Assignment(match[1], read(match[2])) if match else None


def _read_matrix(text: str, read: Reader) -> Answer | None:
    """A matrix environment, row by row."""
    if "\\begin" not in text:
        return None
    wrapped = _WRAPPED_MATRIX.fullmatch(text)
    match = _MATRIX.fullmatch(wrapped[1] if wrapped else text)
    if not match or "\\begin" in match[1]:
        raise Unread
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", match[1].replace("\\hline", "")) if row.strip()]
    cells = [row.split("&") for row in rows]
    if not cells or len(cells) * len(cells[0]) > MOST_PARTS:
        raise Unread
    return Matrix(tuple(tuple(read(cell) for cell in row) for row in cells))


_READERS = (
    _read_matrix,
    _read_point,
    read_membership,
    read_difference,
    read_union,
    read_list,
    read_relation,
    read_brackets,
)
