"""Names on one side of an answer: `x`, `f(x)`, `Area`, `\\angle ABC`, and which of them are variables."""

import re

NAME = re.compile(
    r"\\?[A-Za-z]+[′']*(?:_(?:\{[A-Za-z0-9]+\}|[A-Za-z0-9]))?(?:\([A-Za-z](?:,\s*[A-Za-z])*\))?"
    r"|\\text\{[^{}]*\}|\([A-Za-z](?:,\s*[A-Za-z])+\)|[A-Za-z][A-Za-z ]*"
    r"|\|(?:[A-Z]{1,3}|\\(?:vec|overrightarrow|overline)\s*\{?\s*[A-Za-z]{1,2}\s*\}?)\|"  # a length
    r"|[A-Z]_\{?\s*\\(?:triangle|square)\s*[A-Z]{3,4}\s*\}?|\\(?:angle|triangle|overline)\s*\{?\s*[A-Z]{1,3}\s*\}?"
)
ONE_VARIABLE = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+")


def name_of(text: str) -> str:
    """A name without what only sets it in type."""
    return re.sub(r"[{}\s\\]|\\text", "", text)
