"""The fast path: whether two answers are equivalent, decided without SymPy wherever both can be read.

Numbers are compared exactly, expressions at rational points (exactly where they are rational functions there, else as
complex floats), lists, intervals, matrices and equations part by part. `compare_answers` returns None for what it
can't decide; then a grader process asks math-verify.

A decimal stands for another number only as its rounding or truncation with six decimals and six significant digits or
more (of an irrational gold answer, which has no other decimal, as its rounding to four); further choices are in
`rewards.grading.math.equality`.
"""

import re
from decimal import Decimal
from functools import lru_cache

from rewards.grading.denial import denies_after
from rewards.grading.math.answer import Answer, Clock, Quantity, Text
from rewards.grading.math.brackets import split_top
from rewards.grading.math.equality import equal
from rewards.grading.math.equivalence import Equivalence
from rewards.grading.math.normalize import normalize
from rewards.grading.math.parser import FUNCTIONS, GREEK
from rewards.grading.math.scanner import Unread
from rewards.grading.math.structure import read_answer
from rewards.grading.math.too_costly import refusal
from rewards.grading.math.tree import Number, variables
from rewards.grading.math.value import TooBig
from rewards.grading.math.words import words_of

_INTEGER = re.compile(r"-?\d{1,400}", re.ASCII)
_OPTION = re.compile(r"^(?:option|choice)\s+(?=\W?[A-J]\b)|^选项?\s*(?=\W?[A-J]\b)", re.IGNORECASE)
_CHOICE = re.compile(r"\(?([A-Za-z])\)?\.?")
_CHOICE_AND_TEXT = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice|选项?)\s*)?(?:\(([A-J])\)|([A-J])[).:])[\s:.]*(.*)", re.DOTALL
)
_UPRIGHT_LETTER = re.compile(r"^\\text\{\s*(\([A-J]\)|[A-J][).:])\s*\}")
_THREE_DIGITS = re.compile(r"\d{3}(?:,\d{3})+")  # a number, or a list of numbers of three digits
_ONE_E = re.compile(r"-?\d{1,20}[eE]-\d")
_YES_OR_NO = re.compile(r"(yes|no)\b(?:[,.;!](.*))?", re.IGNORECASE | re.DOTALL)
_OPPOSITE = {
    "yes": re.compile(r"\b(?:no|not|false)\b|n't", re.IGNORECASE),
    "no": re.compile(r"\b(?:yes|true)\b", re.IGNORECASE),
}
_SENSELESS = re.compile(r"[\d}] \d|\d…$|^≠|[A-Za-z]…$|\d[eE]\d+[a-z]$|\^\{\d+\}\d")  # two numbers side by side
_CHOICE_IN_PROSE = re.compile(
    r"(?:^|\b(?:answer|it|that|option|choice|choose|pick|sure|definitely|is|(?:must|should|has to) be)(?:'s|:"
    r"|\s+is)?\s+)"
    r"(?:\(([A-J])\)|(A(?!\s+[a-z])|[B-J]))(?=[\s,;.!]|$)"
)
_ANOTHER_CHOICE = re.compile(r"(?<!\w)(?:\([A-J]\)|[A-J][).:])")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")
_PROSE_WORD = re.compile(r"(?<![\\A-Za-z])[a-z]{2,}")
_NAMED = re.compile(r"\\(?:text|begin|end|math[a-z]+)\s*\{[^{}]*\}")
_SPELLED = {"sqrt", "infinity"}
_UNIT_LETTER = re.compile(r"(-?[\d.]+) ([mgshdlL])(\^\{?[23]\}?)?")  # "5 m"; "5m" is a product
_DIGIT_GAP = re.compile(r"\d \d")
_LONGEST = 400  # characters beyond four times the gold answer's: an essay is not its equivalent


def compare_answers(gold: str, answer: str) -> Equivalence | None:
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
    if "," in gold and _THREE_DIGITS.fullmatch(gold) and _same_list(gold, answer):
        return Equivalence(True, "structure")
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
    if verdict is not None and verdict.correct is False and (_ONE_E.fullmatch(gold) or _ONE_E.fullmatch(answer)):
        return compare_answers(_decimal(gold), _decimal(answer))
    if verdict is None:
        reason = refusal(gold, answer)
        return Equivalence(None, reason) if reason else None
    return verdict


def _same_list(gold: str, answer: str) -> bool:
    """Whether two lists of numbers of three digits are one, in any order."""
    return sorted(gold.split(",")) == sorted(part.strip() for part in normalize(answer.replace(",", ", ")).split(","))


def _decimal(text: str) -> str:
    """`2e-1`, which is Euler's number less one too, as 0.2."""
    return format(Decimal(text), "f") if _ONE_E.fullmatch(text) else text


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
        return read_answer(text)
    except Unread:
        return None


def _squeezed(text: str) -> str:
    """Without white space, unless it keeps two numbers apart."""
    return text if " " not in text or _DIGIT_GAP.search(text) else text.replace(" ", "")


def _verdict(plain_gold: str, plain: str, wanted: Answer | None, given: Answer | None) -> Equivalence | None:
    """The verdict on two normalised answers and their structures, where they have one."""
    upright = _UPRIGHT_LETTER.match(plain_gold)
    lettered = _CHOICE_AND_TEXT.fullmatch(upright[1] + plain_gold[upright.end() :] if upright else plain_gold)
    if lettered and not isinstance(given, Clock) and lettered[3] and not _ANOTHER_CHOICE.search(lettered[3]):
        return _equal_to_lettered(lettered, plain)
    said = _YES_OR_NO.fullmatch(plain) if _YES_OR_NO.fullmatch(plain_gold) and "," not in plain_gold else None
    if said and said[2]:
        is_same = said[1].lower() == plain_gold.lower() and not _OPPOSITE[plain_gold.lower()].search(said[2])
        return Equivalence(is_same, "text")
    choice = _CHOICE.fullmatch(wanted.words if isinstance(wanted, Text) else plain_gold)
    if choice and (
        isinstance(wanted, Text) or _CHOICE_AND_TEXT.fullmatch(plain) or _OPTION.match(plain) or _is_prose(plain)
    ):
        return Equivalence(_chosen(plain) == choice[1].upper(), "text")
    if isinstance(wanted, Text):
        return Equivalence(words_of(plain_gold) == words_of(plain), "text")
    if given is None or wanted is None:
        if given is None and _has_foreign_word(plain_gold, plain):
            return Equivalence(False, "text")
        if given is None and isinstance(wanted, Quantity) and _SENSELESS.search(plain):
            return Equivalence(False, "text")
        if isinstance(wanted, Quantity) and not variables(wanted.node) and _holds_no_number(plain):
            return Equivalence(False, "text")
        return None
    same = equal(wanted, given)
    if same is False and isinstance(given, Quantity) and not variables(given.node):
        same = _equal_with_unit_letter(plain_gold, given)
    if same is False and isinstance(wanted, Quantity) and not variables(wanted.node):
        same = _equal_with_unit_letter(plain, wanted)
    if same is None:
        return None
    if isinstance(given, Text):
        return Equivalence(same, "text")
    if not isinstance(wanted, Quantity):
        return Equivalence(same, "structure")
    return Equivalence(same, "number" if isinstance(wanted.node, Number) else "expression")


def _equal_to_lettered(lettered: re.Match[str], plain: str) -> Equivalence:
    """The verdict where the gold answer is an option with its text: by the letter, else by the text."""
    letter = _chosen(plain)
    if letter is not None:
        return Equivalence(letter == (lettered[1] or lettered[2]), "text")
    text = compare_answers(lettered[3], plain)
    return text if text is not None else Equivalence(False, "text")


def _equal_with_unit_letter(lettered: str, other: Quantity) -> bool | None:
    """Whether `other`, which has no variable, equals an answer of `5 m` with its letter as a unit."""
    match = _UNIT_LETTER.fullmatch(lettered)
    with_unit = _read(f"{match[1]} \\text{{{match[2]}}}{match[3] or ''}") if match else None
    return False if with_unit is None else equal(with_unit, other)


def _chosen(plain: str) -> str | None:
    """The letter of a multiple-choice answer, in capitals; None when there is none or more than one."""
    text = plain.replace("\\text", "").replace("{", "").replace("}", "").strip()
    single = _CHOICE.fullmatch(_OPTION.sub("", text))
    if single:
        return single[1].upper()
    lettered = _CHOICE_AND_TEXT.fullmatch(text)
    if lettered and not _ANOTHER_CHOICE.search(lettered[3]) and not _is_denied(f" {lettered[3]}"):
        return lettered[1] or lettered[2]
    if lettered or not _is_prose(text):
        return None
    named = {match[1] or match[2] for match in _CHOICE_IN_PROSE.finditer(text) if not _is_denied(text[match.end() :])}
    return named.pop() if len(named) == 1 else None


def _is_denied(behind: str) -> bool:
    """Whether the clause right behind a letter denies it: "C can be eliminated"."""
    return denies_after(re.split("[,;]", behind, maxsplit=1)[0])


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
