"""LaTeX inside text → MathML, which browsers draw themselves: no network, no fonts, no script.

What can't be parsed stays as it was written.
"""

import html
import re
from functools import lru_cache
from xml.etree.ElementTree import Element, tostring

LONGEST = 2_000  # characters of one formula; beyond, it is broken output, not mathematics
NAMES = r"(?P<name>align|aligned|equation|gather|cases|array|[pbvBV]?matrix)"
# Pandoc's rule for single dollars (no space inside, no digit after), so that "$18 and $20" stays money; and no operator
# at the end, so that "$9 * 2 = $<<9*2=18>>18" does too.
FORMULA = re.compile(
    rf"""
    \$\$(?P<display>.{{1,{LONGEST}}}?)\$\$
  | \\\[(?P<bracket>.{{1,{LONGEST}}}?)\\\]
  | \\\((?P<paren>.{{1,{LONGEST}}}?)\\\)
  | (?P<environment>\\begin\{{{NAMES}\*?\}}.{{1,{LONGEST}}}?\\end\{{(?P=name)\*?\}})
  | (?P<boxed>\\boxed\{{(?:[^{{}}]|\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}})*\}})
  | (?<![\\$])\$(?!\s)(?P<inline>(?:\\.|[^$\\\n])+)(?<![\s=+*/<])\$(?![\d$])
    """,
    re.DOTALL | re.VERBOSE,
)
BARE = re.compile(r"\\[A-Za-z]+|[\^_]")
ELEMENTS = re.compile(
    "math|mrow|mi|mn|mo|ms|mtext|mspace|mfrac|msqrt|mroot|msub|msup|msubsup|munder|mover|munderover|mmultiscripts|"
    "mprescripts|none|mtable|mtr|mtd|mlabeledtr|mpadded|mphantom|mstyle|menclose"
)
ATTRIBUTES = re.compile(
    "display|displaystyle|scriptlevel|mathvariant|mathcolor|stretchy|fence|separator|lspace|rspace|width|height|depth|"
    "minsize|maxsize|symmetric|largeop|movablelimits|accent|linethickness|rowspacing|columnspacing|columnalign|"
    "rowlines|columnlines|notation|form"
)


def split_formulas(text: str) -> list[tuple[str, str | None]]:
    """`text` cut into (source, MathML) pieces; None where a piece is plain text or can't be parsed.

    The sources joined are `text`.
    """
    pieces: list[tuple[str, str | None]] = []
    end = 0
    for match in FORMULA.finditer(text):
        kind = match.lastgroup if match.lastgroup != "name" else "environment"
        math = to_mathml(match[kind or 0], display=kind in ("display", "bracket", "environment"))
        if math is None:
            continue
        if match.start() > end:
            pieces.append((text[end : match.start()], None))
        pieces.append((match[0], math))
        end = match.end()
    if end < len(text):
        pieces.append((text[end:], None))
    return pieces


def split_answer(text: str) -> list[tuple[str, str | None]]:
    """Like `split_formulas`, for an answer that may be LaTeX without delimiters (MATH's `\\frac{3}{4}`)."""
    pieces = split_formulas(text)
    if len(pieces) == 1 and pieces[0][1] is None and BARE.search(text):
        return [(text, to_mathml(text))]
    return pieces


@lru_cache(maxsize=10_000)
def to_mathml(source: str, display: bool = False) -> str | None:
    """One formula as a safe `<math>` element, or None where it can't be parsed.

    Only MathML elements and attributes of presentation come out, whatever the model wrote.
    """
    from latex2mathml.converter import convert_to_element

    try:
        element = convert_to_element(source, display="block" if display else "inline")
        return tostring(_clean(element), encoding="unicode")
    except Exception:  # a parser of model output: anything can come in, so anything can come out
        return None


def _clean(element: Element) -> Element:
    """A copy with entities resolved; raises `ValueError` on anything that isn't presentation MathML."""
    if not ELEMENTS.fullmatch(element.tag):
        raise ValueError(f"<{element.tag}> is not MathML")
    attributes = {key: html.unescape(value) for key, value in element.attrib.items() if ATTRIBUTES.fullmatch(key)}
    copy = Element(element.tag, attributes)
    _fill(copy, element)
    return copy


def _fill(copy: Element, element: Element) -> None:
    text = html.unescape(element.text or "")
    if element.tag in ("mi", "mo", "mtext", "mn") and "\\" in text:
        raise ValueError(f"unknown command {text}")
    copy.text = text
    for child in element:
        copy.append(_clean(child))
