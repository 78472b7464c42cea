"""One spelling for answers: LaTeX commands, Unicode symbols and white space that mean the same become the same.

The result is not LaTeX: frequent commands become one character (`\\cdot` → `*`, `\\{` → `⦃`, `\\le` → `≤`, degrees →
`°`), fonts become `\\text{…}`, and what is only typesetting goes. `rewards.grading.math.parser` and
`rewards.grading.math.structure` read it.
"""

import re
from decimal import Decimal
from functools import lru_cache

from rewards.grading.math.characters import plain_characters
from rewards.grading.math.commands import with_plain_commands
from rewards.grading.math.number_words import number_words
from rewards.grading.prose import tidy

_CONJUNCTION = re.compile(
    r"\\text\{\s*,?\s*(and|or)\s*\}|(?<![A-Za-z\\{])\s*,?\s*\b(and|or)\b(?![A-Za-z}])", re.IGNORECASE
)
_MULTIPLIERS = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "万": 10**4,
    "亿": 10**8,
}
_MULTIPLIED = re.compile(rf"(?<=[\d}}])\s*(\\text\{{)?\s*({'|'.join(_MULTIPLIERS)})(?:s\b|(?![a-z]))", re.IGNORECASE)
_BOLD = re.compile(r"\\(?:mathbf|boldsymbol|mathit|bm)\s*(?=\{[^{}]*(?:[\\\d+=]| - ))")  # around a formula
_THOUSANDS = re.compile(r"(?<=[\d}])\s*\\text\{\s*k\s*\}$")  # 7\text{k}
_LABEL = re.compile(r"^\s*\\text\s*\{[^{}]*(?::|=|\b(?:is|are))\s*\}[\s:=]*(?=\S)")
_ABOUT = re.compile(
    r"^(?:≈|=>|⇒|∴|→|=|(?:approximately|about|roughly|around|exactly|just|only"
    r"|(?:a )?total of|in total,?|约|大约|共)(?![a-z]))\s*",
    re.IGNORECASE,
)
_BRACED = re.compile(  # the whole, where the braces only group: `{1,3}` is a tuple
    r"\{\s*([^{},]+|[-+]?\d{1,3}(?:,\d{3})+|\\begin\{(\w+)\}(?:(?!\\begin).)*\\end\{\2\})\s*\}", re.DOTALL
)
_PRIME = re.compile(r"(?<=[\d})°′A-Za-z])'(?![A-Za-z])")
_DOTS = re.compile(
    r"(?<=\.\d)\.{3}|(?<=\.\d\d)\.{3}|(?<=\d\d\d)\.{3}(?!\d)|(?<=[,+*])\s*\.{3}\s*(?=[,+*])|\s+\.{3}\s+(?=[,+*])"
)
_OPERATOR = re.compile(
    r"\\(?:operatorname\*?|mathrm|text|rm|mathop)\s*\{\s*((?:arc)?(?:sin|cos|tan)h?|cot|sec|csc|log|ln|lg|exp|gcd|lcm|max|min|i|e)\s*\}"
    r"(?!\s*\})"
)
_CHOOSE = re.compile(r"\{([^{}]+?)\\choose(?![A-Za-z])([^{}]+)\}")
_SEGMENT = re.compile(r"\\(?:overline|overrightarrow|overleftrightarrow|widehat|vec)\s*\{\s*([A-Z]{2,3})\s*\}")
_OPEN_ENDS = re.compile(r"([\[\]])([^\[\](),;]+[,;][^\[\](),;]+)([\[\]])")
_INDIAN_GROUPS = re.compile(r"[-+]?\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?")
_POINT_GROUPS = re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?")
_MARK_GROUPS = re.compile(r"[-+]?\d{1,3}(?:_\d{3})+|[-+]?\d{1,3}(?:['′]\d{3})+")
_NOTE = re.compile(r"(?<=[\d}])\s*\((?:\\text\s*\{)?\s*([A-Za-z][A-Za-z ]{2,30})\s*\}?\)$")
_THIN_GROUPS = re.compile(r"(?<![\d.,\u2009])\d{1,3}(?:(?:\u2009|,\u2009?)\d{3})+(?!\d)")
_COMMA_GROUPS = re.compile(r"(?:[A-Za-z]\w*\s*=\s*)?[-+]?\$?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_E_NOTATION = re.compile(  # but "2e-1" is Euler's number doubled, less one
    r"(?<![\w.\\^])(?:(?:\d{0,40}\.\d{1,40}|1)[eE][-+]?|\d{1,40}[eE](?:[-+](?=\d\d))?)[0-2]?\d{1,2}(?![\w.])"
)
_DOLLAR = re.compile(r"(?<!\\)\$")
_SPACED_GROUPS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")


@lru_cache(maxsize=8192)
def normalize(answer: str) -> str:
    """The canonical spelling of one extracted answer; linear in its length."""
    text = answer if answer.isascii() and answer.isprintable() else plain_characters(answer)
    if "'" in text and not text.lstrip("$ ").startswith("'"):  # of minutes, or of a derivative: not a quotation
        text = _PRIME.sub("′", text)
    if ".." in text:
        text = _DOTS.sub("…", text)
    text = tidy(text)
    if "\\\\" in text and "\\begin" not in text:  # commands escaped twice, as in JSON
        text = text.replace("\\\\", "\\")
    if "$" in text and (text.count("$") - text.count("\\$")) % 2 == 0:
        text = _DOLLAR.sub("", text)  # math delimiters come in pairs
    if "\\" in text:
        text = _CHOOSE.sub(_binomial, _OPERATOR.sub(_operator, text))
        text = _SEGMENT.sub(lambda match: match[1], text)
    if "\\" in text or "^" in text or "{" in text or "~" in text or "*" in text:
        text = _LABEL.sub("", with_plain_commands(_BOLD.sub("", text)))
    text = text.strip()
    if not text[:1].isdigit():
        text = _ABOUT.sub("", text)
    if text[:1] == "]" or text[-1:] == "[" or "[ ∪" in text or "∪ ]" in text:
        text = _OPEN_ENDS.sub(_usual_brackets, text)
    if text[-1:] == ")":
        text = _NOTE.sub(r" \\text{\1}", text)  # "9 (apples)"
    braced = _BRACED.fullmatch(text) if text[:1] == "{" else None
    text = braced[1] if braced else text
    if "nd" in text or "or" in text or "ND" in text or "OR" in text:
        text = _CONJUNCTION.sub(lambda match: "∨" if (match[1] or match[2]).lower() == "or" else ", ", text)
    if "\u2009" in text:
        text = _THIN_GROUPS.sub(lambda match: re.sub("[,\u2009]", "", match[0]), text).replace("\u2009", " ")
    if _COMMA_GROUPS.match(text) and _is_one_number(text):
        text = text.replace(",", "")
    if " " in text and _SPACED_GROUPS.fullmatch(text):
        text = text.replace(" ", "")
    if _INDIAN_GROUPS.fullmatch(text):
        text = text.replace(",", "")
    elif _POINT_GROUPS.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    elif _MARK_GROUPS.fullmatch(text):
        text = re.sub("['_′]", "", text)
    text = number_words(text)
    if "e" in text or "E" in text:
        text = _E_NOTATION.sub(_positional, text)
    if text[-1:] == "}" and "k" in text:
        text = _THOUSANDS.sub("*1000", text)
    if not text[-1:].isdigit():
        text = _MULTIPLIED.sub(lambda match: f"*{_MULTIPLIERS[match[2].lower()]}{match[1] or ''}", text)
    return " ".join(text.split()).rstrip(".")


def _binomial(match: re.Match[str]) -> str:
    """`{n \\choose k}` as `\\binom{n}{k}`."""
    return f"\\binom{{{match[1]}}}{{{match[2]}}}"


def _operator(match: re.Match[str]) -> str:
    """An upright function as its command, an upright letter as a letter."""
    return f"\\{match[1]} " if len(match[1]) > 1 else f" {match[1]} "


def _usual_brackets(match: re.Match[str]) -> str:
    """`]1,2[` as `(1,2)`."""
    return ("(" if match[1] == "]" else "[") + match[2] + (")" if match[3] == "[" else "]")


def _positional(match: re.Match[str]) -> str:
    """`1.5e-05` as 0.000015."""
    return format(Decimal(match[0]), "f")


def _is_one_number(text: str) -> bool:
    """Whether commas in `text` are thousands separators: a number and perhaps a unit, not a list."""
    rest = _COMMA_GROUPS.sub("", text, count=1)
    return "," not in rest and not re.match(r"\s*[\d\[\](){}]", rest)
