"""Equivalent rewritings of a gold answer, by rules on its text: ways in which people write the same."""

import re
from collections.abc import Iterator

from benchmarks.answer_shapes import (
    BASED,
    CHOICE,
    DEGREES,
    DOLLARS,
    INTEGER,
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

_TERM = re.compile(r"\s*([+-]?)\s*([^+-]+)")
_LINE = re.compile(r"([a-z])\s*=\s*(.+)")


def _numbers(gold: str) -> Iterator[str]:
    """Fraction ↔ decimal ↔ mixed number, unreduced, trailing zeros, plain slash."""
    value = value_of(gold)
    if value is None:
        return
    decimal = terminating_decimal(value)
    sign, top, bottom = "-" if value < 0 else "", abs(value.numerator), value.denominator
    if decimal is not None:
        yield decimal + ("0" if "." in decimal else ".0")
        if "." not in decimal:
            yield decimal + ".00"
        elif decimal.lstrip("-").startswith("0."):
            yield decimal.replace("0.", ".", 1)
    if bottom > 1:
        yield f"{sign}\\dfrac{{{top}}}{{{bottom}}}"
        yield f"{sign}{top}/{bottom}"
        yield f"\\frac{{{sign}{top}}}{{{bottom}}}"
        if decimal is not None:
            yield decimal
        if top > bottom and top % bottom:
            yield f"{sign}{top // bottom}\\frac{{{top % bottom}}}{{{bottom}}}"
    yield f"{sign}\\frac{{{3 * top}}}{{{3 * bottom}}}"


def _separators(gold: str) -> Iterator[str]:
    """Thousands separators, put in or taken out."""
    plain = re.sub(r",(?:\\!)?\s*", "", gold) if THOUSANDS.fullmatch(gold) else gold
    if INTEGER.fullmatch(plain) and len(plain.lstrip("-")) > 3:
        commas = f"{int(plain):,}"
        yield from (plain, commas, commas.replace(",", "{,}"), commas.replace(",", "\\,"), commas.replace(",", ",\\!"))


def _typesetting(gold: str) -> Iterator[str]:
    """What changes nothing but the look."""
    yield f"{gold}."
    if INTEGER.fullmatch(gold):
        return
    yield f"${gold}$"
    yield f"\\displaystyle {gold}"
    if "\\frac" in gold:
        yield gold.replace("\\frac", "\\dfrac")
        yield gold.replace("\\frac", "\\tfrac")
    if "\\left" not in gold and gold.startswith("(") and gold.endswith(")") and gold.count("(") == 1:
        yield f"\\left{gold[:-1]}\\right)"
    if "\\left" in gold:
        yield gold.replace("\\left", "").replace("\\right", "")
    if not re.search(r"\\[a-z]+ [a-zA-Z0-9]|\d \\frac|\\text|\\mbox|\\ ", gold) and " " in gold:
        yield gold.replace(" ", "")


def _full_width(gold: str) -> Iterator[str]:
    """Digits and punctuation as a Chinese keyboard types them."""
    if re.fullmatch(r"[-\d.,() ]+", gold):
        yield gold.translate({ord(char): ord(char) + 0xFEE0 for char in "0123456789,()"})


def _units(gold: str) -> Iterator[str]:
    """A unit left out, spelled out, or added to a plain number."""
    degrees, dollars, measure = DEGREES.fullmatch(gold), DOLLARS.fullmatch(gold), MEASURE.fullmatch(gold)
    if degrees:
        value = degrees[1]
        yield from (value, f"{value}^{{\\circ}}", f"{value}°", f"{value} degrees", f"{value}\\text{{ degrees}}")
    if dollars:
        value = re.sub(r"[,\\!]", "", dollars[1])
        yield from (value, f"\\${value}", f"${value}", f"{value} dollars", f"{value}\\text{{ dollars}}")
    if measure:
        value, unit, square = measure.groups()
        yield value
        yield f"{value} {'square ' if square else ''}{unit}"
        yield f"{value}\\,\\mathrm{{{unit}}}{square or ''}"
    if INTEGER.fullmatch(gold) and int(gold) > 1:
        yield f"{gold}\\text{{ units}}"
        yield f"{gold} \\text{{ ways}}"


def _names(gold: str) -> Iterator[str]:
    """`x =` put in front or taken away."""
    line = _LINE.fullmatch(gold)
    if line and line[1] == "x":
        yield line[2]
    elif value_of(gold) is not None:
        yield f"x = {gold}"
        yield f"n={gold}"


def _orders(gold: str) -> Iterator[str]:
    """Lists and sets in another order, with and without braces; terms of a sum; parts of a union."""
    if LIST.fullmatch(gold) and not THOUSANDS.fullmatch(gold):
        parts = [part.strip() for part in gold.split(",")]
        yield ", ".join(reversed(parts))
        yield "\\{" + ",".join(parts) + "\\}"
        yield ", ".join(parts[:-1]) + " and " + parts[-1]
        yield ", ".join(parts[:-1]) + "\\text{ and }" + parts[-1]
    if gold.startswith("\\{") and gold.endswith("\\}"):
        parts = gold[2:-2].split(",")
        yield "\\{" + ",".join(reversed(parts)) + "\\}"
        yield ", ".join(reversed(parts))
    if "\\cup" in gold:
        yield " \\cup ".join(part.strip() for part in reversed(gold.split("\\cup")))
    if POLYNOMIAL.fullmatch(gold):
        terms = [(sign or "+", body.strip()) for sign, body in _TERM.findall(gold)]
        yield " ".join(f"{sign} {body}" for sign, body in reversed(terms)).removeprefix("+ ")
    if "\\pm" in gold and gold.count("\\pm") == 1 and not gold.startswith("\\{"):
        yield f"{gold.replace(chr(92) + 'pm', '+')}, {gold.replace(chr(92) + 'pm', '-')}"


def _intervals(gold: str) -> Iterator[str]:
    """An interval that says so (a square bracket, or ∞) as a membership and as inequalities."""
    pair = PAIR.fullmatch(gold)
    if not pair or not (set(pair.groups()) & {"[", "]"} or "infty" in gold):
        return
    opening, low, high, closing = (part.strip() for part in pair.groups())
    yield f"x \\in {gold}"
    yield f"\\left{opening}{low},{high}\\right{closing}"
    left, right = ("\\le" if opening == "[" else "<"), ("\\le" if closing == "]" else "<")
    if "infty" not in low and "infty" not in high:
        yield f"{low} {left} x {right} {high}"
    elif "infty" not in low:
        yield f"x {left.replace('le', 'ge').replace('<', '>')} {low}"
    elif "infty" not in high:
        yield f"x {right} {high}"


def _surds(gold: str) -> Iterator[str]:
    """Roots: braces, explicit products, the factor drawn in, a rational denominator or not."""
    surd = SURD.fullmatch(gold)
    if surd:
        factor, radicand = int(surd[1]), int(surd[2])
        yield f"{factor}\\sqrt{{{radicand}}}"
        yield f"{factor} \\cdot \\sqrt{{{radicand}}}"
        yield f"\\sqrt{{{radicand}}} \\cdot {factor}"
        yield f"\\sqrt{{{factor**2 * radicand}}}"
        yield f"{factor}*sqrt({radicand})"
    third = re.fullmatch(r"\\frac\{\\sqrt\{(\d+)\}\}\{\1\}", gold)
    if third:
        yield f"\\frac{{1}}{{\\sqrt{{{third[1]}}}}}"
        yield f"\\frac{{\\sqrt{{{third[1]}}}}}{{{third[1]}}}".replace("frac", "dfrac")
    if re.fullmatch(r"\d*\s*\\pi", gold):
        yield gold.replace("\\pi", "π")
        yield gold.replace(" ", "").replace("\\pi", " \\cdot \\pi") if gold[0].isdigit() else "\\pi \\cdot 1"


def _texts(gold: str) -> Iterator[str]:
    """Words and choices in other fonts, cases, and brackets."""
    text, choice = TEXT.fullmatch(gold), CHOICE.fullmatch(gold)
    if text:
        yield from (text[1], text[1].capitalize(), f"\\textbf{{{text[1]}}}", f"\\mathrm{{{text[1]}}}", f"**{text[1]}**")
    if choice:
        letter = choice[1]
        yield from (letter, f"({letter})", f"\\text{{{letter}}}", f"\\textbf{{({letter})}}", f"\\mathrm{{({letter})}}")


def _matrices(gold: str) -> Iterator[str]:
    """Other brackets, other fractions."""
    if MATRIX.fullmatch(gold):
        yield gold.replace("pmatrix", "bmatrix")
        yield re.sub(r"(\d+)/(\d+)", r"\\frac{\1}{\2}", gold)
        yield gold.replace(" ", "").replace("pmatrix", "bmatrix")


def _bases(gold: str) -> Iterator[str]:
    based = BASED.fullmatch(gold)
    if based:
        yield f"{based[1]}_{{{based[2]}}}"
        yield f"{based[1]}_{based[2]}"


def _equations(gold: str) -> Iterator[str]:
    """The sides of `y = …` swapped; everything on one side."""
    line = _LINE.fullmatch(gold)
    if line and line[1] != "x":
        yield f"{line[2]} = {line[1]}"
        yield f"{line[1]} - ({line[2]}) = 0"
        yield line[2]
    if gold.endswith("= 0"):
        yield f"0 = {gold[:-4]}"
        yield f"2({gold[:-4]}) = 0"


EQUIVALENT: dict[str, Rule] = {
    "numbers": _numbers,
    "separators": _separators,
    "typesetting": _typesetting,
    "full_width": _full_width,
    "units": _units,
    "names": _names,
    "orders": _orders,
    "intervals": _intervals,
    "surds": _surds,
    "texts": _texts,
    "matrices": _matrices,
    "bases": _bases,
    "equations": _equations,
}
