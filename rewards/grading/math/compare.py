"""The fast path: whether two answers are equivalent, decided without SymPy wherever both can be read.

Numbers are compared exactly, expressions at rational points (exactly where they are rational functions there, else as
complex floats), lists, intervals, matrices and equations part by part. `compare` returns None for what it can't decide;
then a grader process asks math-verify.

A decimal stands for another number only as its rounding or truncation with six decimals and six significant digits or
more; further choices are in `rewards.grading.math.equality`.
"""

import re
from functools import lru_cache

from rewards.grading.math.equality import equal, words_of
from rewards.grading.math.equivalence import Equivalence
from rewards.grading.math.normalize import normalize
from rewards.grading.math.parser import FUNCTIONS, GREEK, Unread
from rewards.grading.math.answer import Answer, Quantity, Text
from rewards.grading.math.structure import read, split_top
from rewards.grading.math.too_costly import refusal
from rewards.grading.math.value import TooBig, variables

_INTEGER = re.compile(r"-?\d{1,400}", re.ASCII)
_CHOICE = re.compile(r"\(?([A-Za-z])\)?\.?")
_CHOICE_AND_TEXT = re.compile(r"(?:\(([A-J])\)|([A-J])[).:])\s*(.*)", re.DOTALL)
_CHOICE_IN_PROSE = re.compile(
    r"(?:^|\b(?:answer|it|that|option|choice|choose|pick|sure|definitely|is)(?:'s|:|\s+is)?\s+)"
    r"(?:\(([A-J])\)|(A(?!\s+[a-z])|[B-J]))(?=[\s,;.!]|$)"
)
_ANOTHER_CHOICE = re.compile(r"(?<!\w)(?:\([A-J]\)|[A-J][).:])")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")
_PROSE_WORD = re.compile(r"(?<![\\A-Za-z])[a-z]{2,}")
_NAMED = re.compile(r"\\(?:text|begin|end|math[a-z]+)\s*\{[^{}]*\}")
_SPELLED = {"sqrt", "infinity"}
_SHORT_WORDS = {"yes", "no"}  # read as products of variables, as all words of up to three letters are
_UNIT_LETTER = re.compile(r"(-?[\d.]+) ([mgshdlL])")  # "5 m"; "5m" is a product
_DIGIT_GAP = re.compile(r"\d \d")
_LONGEST = 400  # characters beyond four times the gold answer's: an essay is not its equivalent


def compare(gold: str, answer: str) -> Equivalence | None:
    """The verdict on an extracted answer, or None when math-verify has to decide."""
    gold, answer = gold.strip(), answer.strip()
    if gold == answer:
        return Equivalence(True, "exact")
    if len(answer) > _LONGEST + 4 * len(gold):
        return Equivalence(False, "too long")
    if _squeezed(gold) == _squeezed(answer):  # "81, 256" and "81,256", which reads as one number
        return Equivalence(True, "exact")
    if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(answer):
        return Equivalence(int(gold) == int(answer), "number")
    plain_gold, plain = normalize(gold), normalize(answer)
    if plain_gold == plain or _squeezed(plain_gold) == _squeezed(plain):
        return Equivalence(True, "exact")
    try:
        wanted, given = _read(plain_gold), _read(plain)
        verdict = _verdict(plain_gold, plain, wanted, given)
    except TooBig:
        return Equivalence(None, "refused: too big to evaluate")
    except RecursionError:  # "1/2/3/…" nests without a bracket
        return Equivalence(None, "refused: nested too deep")
    if verdict is None:
        reason = refusal(gold, answer)
        return Equivalence(None, reason) if reason else None
    return verdict


def list_elements(answer: str) -> list[str]:
    """The elements of a list, tuple or set as strings; empty when the answer is none."""
    text = normalize(answer)
    if text[:1] in ("(", "[", "⦃") and text[-1:] in (")", "]", "⦄"):
        text = text[1:-1]
    try:
        parts = [part for part, _ in split_top(text, ",;∨") if part]
    except Unread:
        return []
    return parts if len(parts) > 1 else []


@lru_cache(maxsize=4096)
def _read(text: str) -> Answer | None:
    try:
        return read(text)
    except Unread:
        return None


def _squeezed(text: str) -> str:
    """Without white space, unless it keeps two numbers apart."""
    return text if _DIGIT_GAP.search(text) else text.replace(" ", "")


def _verdict(plain_gold: str, plain: str, wanted: Answer | None, given: Answer | None) -> Equivalence | None:
    """The verdict on two normalised answers and their structures, where they have one."""
    choice = _CHOICE.fullmatch(wanted.words if isinstance(wanted, Text) else plain_gold)
    if choice and (isinstance(wanted, Text) or _CHOICE_AND_TEXT.fullmatch(plain) or _is_prose(plain)):
        return Equivalence(_chosen(plain) == choice[1].upper(), "text")
    if isinstance(wanted, Text):
        return Equivalence(words_of(plain_gold) == words_of(plain), "text")
    if given is None or wanted is None:
        if given is None and _has_foreign_word(plain_gold, plain):
            return Equivalence(False, "text")
        if isinstance(wanted, Quantity) and not variables(wanted.node) and _holds_no_number(plain):
            return Equivalence(False, "text")
        return None
    if plain_gold.casefold() in _SHORT_WORDS and plain_gold.casefold() == plain.casefold():
        return Equivalence(True, "text")
    same = equal(wanted, given)
    if same is False and isinstance(given, Quantity) and not variables(given.node):
        same = _equal_with_unit_letter(plain_gold, given)
    if same is None:
        return None
    if isinstance(given, Text):
        return Equivalence(same, "text")
    if not isinstance(wanted, Quantity):
        return Equivalence(same, "structure")
    return Equivalence(same, "number" if wanted.node[0] == "num" else "expression")


def _equal_with_unit_letter(plain_gold: str, given: Quantity) -> bool | None:
    """Whether `given`, which has no variable, is a gold answer of `5 m` with its letter as a unit."""
    found = _UNIT_LETTER.fullmatch(plain_gold)
    with_unit = _read(f"{found[1]} \\text{{{found[2]}}}") if found else None
    return False if with_unit is None else equal(with_unit, given)


def _chosen(plain: str) -> str | None:
    """The letter of a multiple-choice answer, in capitals; None when there is none or more than one."""
    text = plain.replace("\\text", "").replace("{", "").replace("}", "").strip()
    single = _CHOICE.fullmatch(text)
    if single:
        return single[1].upper()
    found = _CHOICE_AND_TEXT.fullmatch(text)
    if found and not _ANOTHER_CHOICE.search(found[3]):
        return found[1] or found[2]
    if found or not _is_prose(text):
        return None
    named = {match[1] or match[2] for match in _CHOICE_IN_PROSE.finditer(text)}
    return named.pop() if len(named) == 1 else None


def _is_prose(text: str) -> bool:
    return len(_PROSE_WORD.findall(text[:_LONGEST])) >= 3


def _has_foreign_word(plain_gold: str, plain: str) -> bool:
    """Whether the answer holds a word that the gold answer does not: prose, or names run together, but no formula.

    SymPy would make a symbol of every letter and compute for seconds.
    """
    words = {word.lower() for word in _WORD.findall(_NAMED.sub(" ", plain))} - FUNCTIONS - GREEK - _SPELLED
    return any(word not in plain_gold.lower() for word in words)


def _holds_no_number(plain: str) -> bool:
    return "\\" not in plain and not any(char.isnumeric() or char in "π∞ei" for char in plain)
