"""Equivalent rewritings and near misses of gold answers, by rules on their text: the hard set of the rewards.

Every rule knows one way in which people write the same answer differently, or get it almost right, and looks at the
gold answer alone. The rules know nothing of any grader. What a rule can't tell for certain, it does not produce.

    python -m benchmarks.hard_answers MATH500.jsonl     prints one JSON object a case
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """One answer to grade: whether it is equivalent to `gold`, and the rule that wrote it."""

    gold: str
    answer: str
    equivalent: bool
    rule: str


Rule = Callable[[str], Iterable[str]]

_INTEGER = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?\d*\.\d+")
_FRACTION = re.compile(r"(-?)\\d?frac\s*(?:\{(-?\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))")
_ANY_FRACTION = re.compile(r"\\frac\{(\d+)\}\{(\d+)\}")
_MIXED = re.compile(r"(\d+)\s*\\frac\{(\d+)\}\{(\d+)\}")
_DEGREES = re.compile(r"(\d+)\^\\circ")
_DOLLARS = re.compile(r"\\\$([\d.,\\!]+)")
_MEASURE = re.compile(r"([\d.]+)\s*\\(?:text|mbox)\{\s*([a-z]+)\s*\}(\^2)?")
_TEXT = re.compile(r"\\text\{([A-Za-z]+)\}")
_CHOICE = re.compile(r"\\text\{\(([A-E])\)\}")
_PAIR = re.compile(r"(?:\\left)?\s*([(\[])\s*([^,()\[\]]+),([^,()\[\]]+?)\s*(?:\\right)?\s*([)\]])")
_TUPLE = re.compile(r"(?:\\left)?\s*\(([^()\[\]]+,[^()\[\]]+)(?:\\right)?\s*\)")
_LIST = re.compile(r"[^,()\[\]{}\\]+(?:,[^,()\[\]{}\\]+)+")
_SURD = re.compile(r"(\d+)\s*\\sqrt\{?(\d+)\}?")
_POLYNOMIAL = re.compile(r"-?[\d]*[a-z]?(?:\^\d)?(?:\s*[+-]\s*\d*[a-z]?(?:\^\d)?)+")
_TERM = re.compile(r"\s*([+-]?)\s*([^+-]+)")
_MATRIX = re.compile(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", re.DOTALL)
_BASED = re.compile(r"(\d+)_\{?(\d)\}?")
_LINE = re.compile(r"([a-z])\s*=\s*(.+)")
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:,(?:\\!\s*)?\d{3})+(?![\d])")


def _number(gold: str) -> Fraction | None:
    """The exact value of an integer, decimal or fraction."""
    text = re.sub(r",\\!\s*", "", gold)
    if re.fullmatch(r"\d{1,3}(,\d{3})+", text):
        text = text.replace(",", "")
    if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text):
        return Fraction(text)
    found = _FRACTION.fullmatch(text)
    if not found:
        return None
    value = Fraction(int(found[2] or found[3]), int(found[4] or found[5]))
    return -value if found[1] else value


def _decimal(value: Fraction) -> str | None:
    """The terminating decimal of a fraction, if it has one of at most 12 places."""
    for places in range(13):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(scaled.numerator):0{places + 1}d}"
            sign = "-" if value < 0 else ""
            return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    return None


# --- equivalent rewritings


def _numbers(gold: str) -> Iterator[str]:
    """Fraction ↔ decimal ↔ mixed number, unreduced, trailing zeros, plain slash."""
    value = _number(gold)
    if value is None:
        return
    decimal = _decimal(value)
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
    plain = re.sub(r",(?:\\!)?\s*", "", gold) if _THOUSANDS.fullmatch(gold) else gold
    if _INTEGER.fullmatch(plain) and len(plain.lstrip("-")) > 3:
        commas = f"{int(plain):,}"
        yield from (plain, commas, commas.replace(",", "{,}"), commas.replace(",", "\\,"), commas.replace(",", ",\\!"))


def _typesetting(gold: str) -> Iterator[str]:
    """What changes nothing but the look."""
    yield f"{gold}."
    if _INTEGER.fullmatch(gold):
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
    degrees, dollars, measure = _DEGREES.fullmatch(gold), _DOLLARS.fullmatch(gold), _MEASURE.fullmatch(gold)
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
    if _INTEGER.fullmatch(gold) and int(gold) > 1:
        yield f"{gold}\\text{{ units}}"
        yield f"{gold} \\text{{ ways}}"


def _names(gold: str) -> Iterator[str]:
    """`x =` put in front or taken away."""
    line = _LINE.fullmatch(gold)
    if line and line[1] == "x":
        yield line[2]
    elif _number(gold) is not None:
        yield f"x = {gold}"
        yield f"n={gold}"


def _orders(gold: str) -> Iterator[str]:
    """Lists and sets in another order, with and without braces; terms of a sum; parts of a union."""
    if _LIST.fullmatch(gold) and not _THOUSANDS.fullmatch(gold):
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
    if _POLYNOMIAL.fullmatch(gold):
        terms = [(sign or "+", body.strip()) for sign, body in _TERM.findall(gold)]
        yield " ".join(f"{sign} {body}" for sign, body in reversed(terms)).removeprefix("+ ")
    if "\\pm" in gold and gold.count("\\pm") == 1 and not gold.startswith("\\{"):
        yield f"{gold.replace(chr(92) + 'pm', '+')}, {gold.replace(chr(92) + 'pm', '-')}"


def _intervals(gold: str) -> Iterator[str]:
    """An interval that says so (a square bracket, or ∞) as a membership and as inequalities."""
    pair = _PAIR.fullmatch(gold)
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
    surd = _SURD.fullmatch(gold)
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
    text, choice = _TEXT.fullmatch(gold), _CHOICE.fullmatch(gold)
    if text:
        yield from (text[1], text[1].capitalize(), f"\\textbf{{{text[1]}}}", f"\\mathrm{{{text[1]}}}", f"**{text[1]}**")
    if choice:
        letter = choice[1]
        yield from (letter, f"({letter})", f"\\text{{{letter}}}", f"\\textbf{{({letter})}}", f"\\mathrm{{({letter})}}")


def _matrices(gold: str) -> Iterator[str]:
    """Other brackets, other fractions."""
    if _MATRIX.fullmatch(gold):
        yield gold.replace("pmatrix", "bmatrix")
        yield re.sub(r"(\d+)/(\d+)", r"\\frac{\1}{\2}", gold)
        yield gold.replace(" ", "").replace("pmatrix", "bmatrix")


def _bases(gold: str) -> Iterator[str]:
    based = _BASED.fullmatch(gold)
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


# --- near misses


def _signs(gold: str) -> Iterator[str]:
    """The sign of a number, of the imaginary part, of the last term."""
    value = _number(gold)
    if value:
        yield gold[1:] if gold.startswith("-") else f"-{gold}"
    elif _SURD.fullmatch(gold) or re.fullmatch(r"\d*\s*\\pi", gold):
        yield f"-{gold}"
    elif _POLYNOMIAL.fullmatch(gold):
        position = max(gold.rfind("+"), gold.rfind("-"))
        yield gold[:position] + ("-" if gold[position] == "+" else "+") + gold[position + 1 :]


def _off_by_one(gold: str) -> Iterator[str]:
    """The last, and the first, integer of the answer one more."""
    if "_" in gold or _CHOICE.fullmatch(gold):
        return
    plain = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", re.sub(r",\\!\s*", "", gold))
    plain = plain.replace(",", "") if _THOUSANDS.fullmatch(gold) else plain
    numbers = list(re.finditer(r"\d+", plain))
    for found in {numbers[0].start(): numbers[0], numbers[-1].start(): numbers[-1]}.values() if numbers else ():
        changed = plain[: found.start()] + str(int(found[0]) + 1).zfill(len(found[0])) + plain[found.end() :]
        if not (_number(gold) is not None and _number(changed) == _number(gold)):
            yield changed


def _slips(gold: str) -> Iterator[str]:
    """A digit dropped or doubled, the point moved, a reciprocal, a rounded value."""
    value = _number(gold)
    if value is None or value == 0:
        return
    if value.denominator == 1:
        yield f"{value.numerator}0"
        if abs(value) >= 10:
            yield str(value.numerator)[:-1]
    elif _decimal(value) is None:
        yield f"{float(value):.2f}"
        yield f"{float(value):.3f}"
    elif _DECIMAL.fullmatch(gold):
        yield _decimal(value * 10) or ""
    if value.denominator > 1 and abs(value.numerator) != 1 and not _DECIMAL.fullmatch(gold):
        yield f"\\frac{{{value.denominator}}}{{{value.numerator}}}"


def _swapped(gold: str) -> Iterator[str]:
    """The ends of an interval or the entries of a point swapped; an end open instead of closed; a bracket changed."""
    pair = _PAIR.fullmatch(gold)
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
    if _LIST.fullmatch(gold) and not _THOUSANDS.fullmatch(gold):
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
    if _SURD.fullmatch(gold):
        yield re.sub(r"\\sqrt\{?(\d+)\}?", r"\\cdot \1", gold)
    if re.fullmatch(r"\d+\s*\\pi", gold):
        yield gold.replace("\\pi", "").strip()


def _wrong_units(gold: str) -> Iterator[str]:
    degrees, dollars, measure = _DEGREES.fullmatch(gold), _DOLLARS.fullmatch(gold), _MEASURE.fullmatch(gold)
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
    text, choice, based = _TEXT.fullmatch(gold), _CHOICE.fullmatch(gold), _BASED.fullmatch(gold)
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
    matrix = _MATRIX.fullmatch(gold)
    if matrix:
        rows = [row.strip() for row in matrix[1].split("\\\\")]
        if rows != rows[::-1]:
            yield "\\begin{pmatrix} " + " \\\\ ".join(reversed(rows)) + " \\end{pmatrix}"
        yield "\\begin{pmatrix} " + " \\\\ ".join(rows[:-1]) + " \\end{pmatrix}"


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


def hard_cases(golds: Iterable[str]) -> list[Case]:
    """Every rule on every distinct gold answer, without repeats and without the gold answer itself."""
    cases: dict[tuple[str, str], Case] = {}
    for gold in filter(str.strip, dict.fromkeys(golds)):
        for rules, equivalent in ((EQUIVALENT, True), (NEAR_MISS, False)):
            for name, rule in rules.items():
                for answer in rule(gold):
                    if answer.strip() and answer != gold:
                        cases.setdefault((gold, answer), Case(gold, answer, equivalent, name))
    return list(cases.values())


def main(path: str) -> None:
    """Print the cases of a MATH-style JSONL file with an `answer` in each row."""
    rows = Path(path).read_text(encoding="utf-8").splitlines()
    for case in hard_cases(json.loads(row)["answer"] for row in rows if row.strip()):
        print(json.dumps(asdict(case), ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1])
