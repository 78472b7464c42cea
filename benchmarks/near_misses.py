"""Near misses of a gold answer, by rules on its text: slips that make it another answer."""

import re
from collections.abc import Iterator

from benchmarks.answer_shapes import (
    BASED,
    CHOICE,
    DECIMAL,
    DEGREES,
    DOLLARS,
    LIST,
    MATRIX,
    MEASURE,
    PAIR,
    POLYNOMIAL,
    SURD,
    TEXT,
    THOUSANDS,
    Rule,
    terminating_decimal,
    value_of,
)

_TUPLE = re.compile(r"(?:\\left)?\s*\(([^()\[\]]+,[^()\[\]]+)(?:\\right)?\s*\)")


def _signs(gold: str) -> Iterator[str]:
    """The sign of a number, of the imaginary part, of the last term."""
    value = value_of(gold)
    if value:
        yield gold[1:] if gold.startswith("-") else f"-{gold}"
    elif SURD.fullmatch(gold) or re.fullmatch(r"\d*\s*\\pi", gold):
        yield f"-{gold}"
    elif POLYNOMIAL.fullmatch(gold):
        position = max(gold.rfind("+"), gold.rfind("-"))
        yield gold[:position] + ("-" if gold[position] == "+" else "+") + gold[position + 1 :]


def _off_by_one(gold: str) -> Iterator[str]:
    """The last, and the first, integer of the answer one more."""
    if "_" in gold or CHOICE.fullmatch(gold):
        return
    plain = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", re.sub(r",\\!\s*", "", gold))
    plain = plain.replace(",", "") if THOUSANDS.fullmatch(gold) else plain
    numbers = list(re.finditer(r"\d+", plain))
    for found in {numbers[0].start(): numbers[0], numbers[-1].start(): numbers[-1]}.values() if numbers else ():
        changed = plain[: found.start()] + str(int(found[0]) + 1).zfill(len(found[0])) + plain[found.end() :]
        if not (value_of(gold) is not None and value_of(changed) == value_of(gold)):
            yield changed


def _slips(gold: str) -> Iterator[str]:
    """A digit dropped or doubled, the point moved, a reciprocal, a rounded value."""
    value = value_of(gold)
    if value is None or value == 0:
        return
    if value.denominator == 1:
        yield f"{value.numerator}0"
        if abs(value) >= 10:
            yield str(value.numerator)[:-1]
    elif terminating_decimal(value) is None:
        yield f"{float(value):.2f}"
        yield f"{float(value):.3f}"
    elif DECIMAL.fullmatch(gold):
        yield terminating_decimal(value * 10) or ""
    if value.denominator > 1 and abs(value.numerator) != 1 and not DECIMAL.fullmatch(gold):
        yield f"\\frac{{{value.denominator}}}{{{value.numerator}}}"


def _swapped(gold: str) -> Iterator[str]:
    """The ends of an interval or the entries of a point swapped; an end open instead of closed; a bracket changed."""
    pair = PAIR.fullmatch(gold)
    if not pair:
        return
    opening, low, high, closing = (part.strip() for part in pair.groups())
    if low != high:
        yield f"{opening}{high},{low}{closing}"
    if opening == "[" or closing == "]" or "infty" in gold:
        if "infty" not in low:
            yield f"{'(' if opening == '[' else '['}{low},{high}{closing}"
        if "infty" not in high:
            yield f"{opening}{low},{high}{')' if closing == ']' else ']'}"


def _missing(gold: str) -> Iterator[str]:
    """One element, part or entry missing, or one too many."""
    if LIST.fullmatch(gold) and not THOUSANDS.fullmatch(gold):
        yield ",".join(gold.split(",")[:-1])
        yield gold + ", 100"
    if gold.startswith("\\{"):
        yield "\\{" + ",".join(gold[2:-2].split(",")[:-1]) + "\\}"
    if "\\cup" in gold:
        yield gold.split("\\cup")[0].strip()
    found = _TUPLE.fullmatch(gold)
    if found and found[1].count(",") > 1:
        yield "(" + ",".join(found[1].split(",")[:-1]) + ")"
    if "\\pm" in gold and not gold.startswith("\\{"):
        yield gold.replace("\\pm", "+")
    if SURD.fullmatch(gold):
        yield re.sub(r"\\sqrt\{?(\d+)\}?", r"\\cdot \1", gold)
    if re.fullmatch(r"\d+\s*\\pi", gold):
        yield gold.replace("\\pi", "").strip()


def _wrong_units(gold: str) -> Iterator[str]:
    degrees, dollars, measure = DEGREES.fullmatch(gold), DOLLARS.fullmatch(gold), MEASURE.fullmatch(gold)
    if degrees:
        yield f"{degrees[1]}\\text{{ radians}}"
        yield f"{degrees[1]} cm"
    if dollars:
        yield f"{dollars[1]}\\text{{ cents}}"
    if measure:
        value, unit, square = measure.groups()
        if not unit.startswith("unit"):
            yield f"{value}\\text{{ {'tons' if unit.startswith('mile') else 'miles'} }}{square or ''}"
        if square:
            yield f"{value}\\text{{ {unit} }}^3"


def _wrong_texts(gold: str) -> Iterator[str]:
    text, choice, based = TEXT.fullmatch(gold), CHOICE.fullmatch(gold), BASED.fullmatch(gold)
    if text:
        yield f"\\text{{{text[1][:-1]}}}"
        yield f"\\text{{{text[1][::-1]}}}"
    if choice:
        yield f"\\text{{({chr(ord(choice[1]) % 5 + 65)})}}"
        yield chr((ord(choice[1]) - 65 + 2) % 5 + 65)
    if based:
        yield f"{based[1]}_{{{9 if based[2] != '9' else 7}}}"
        yield f"{based[1]}0_{{{based[2]}}}"


def _wrong_matrices(gold: str) -> Iterator[str]:
    matrix = MATRIX.fullmatch(gold)
    if matrix:
        rows = [row.strip() for row in matrix[1].split("\\\\")]
        if rows != rows[::-1]:
            yield "\\begin{pmatrix} " + " \\\\ ".join(reversed(rows)) + " \\end{pmatrix}"
        yield "\\begin{pmatrix} " + " \\\\ ".join(rows[:-1]) + " \\end{pmatrix}"


NEAR_MISS: dict[str, Rule] = {
    "sign": _signs,
    "off_by_one": _off_by_one,
    "slip": _slips,
    "swapped": _swapped,
    "missing": _missing,
    "wrong_unit": _wrong_units,
    "wrong_text": _wrong_texts,
    "wrong_matrix": _wrong_matrices,
}
