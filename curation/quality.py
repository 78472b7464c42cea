"""What disqualifies a row for training, before anybody looks at how hard it is.

The kinds follow s1's quality filter (arXiv 2501.19393 §2.2): missing parts, text of a failed API call, references to
images that are not there, broken formatting; and languages, by script.
"""

import re
from collections import Counter

from configs.schema.curation import QualityConfig
from data.problem import Trace
from data.residue import NAMES, residue_in

_FAILED = re.compile(
    r"\A\W*(?:error\b\W*\d{3}|(?:internal server|gateway|connection|rate ?limit|api) ?(?:error|time-?out|exceeded)"
    r"|too many requests|request timed out|<!doctype html|<html|\{\s*\"error\")"
    r"|as an ai (?:language )?model|i(?:'m| am) sorry, (?:but )?i (?:can(?:no|')t|am unable)",
    re.IGNORECASE,
)
_FIGURE = re.compile(
    r"!\[[^\]]*\]\(|<img\b|<image>|\\includegraphics|\[asy\]|https?://\S+\.(?:png|jpe?g|gif|svg|webp)"
    r"|\b(?:figure|diagram|graph|picture|image|chart|photo)s? (?:is |are )?(?:shown )?(?:below|above|to the right)\b"
    r"|\b(?:as|in) (?:shown|seen|the) (?:in the )?(?:figure|diagram|picture|image|photo)\b|如图|下图|上图",
    re.IGNORECASE,
)
_MOJIBAKE = re.compile(r"\ufffd|Ã[\x80-\xbf©¨ª]|â€[™œ“”]|锟斤拷")
_OPENERS = (
    (r"\begin", re.compile(r"\\begin\{"), r"\end", re.compile(r"\\end\{")),
    (r"\left", re.compile(r"\\left(?![a-zA-Z])"), r"\right", re.compile(r"\\right(?![a-zA-Z])")),
)
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)
_FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]*\$|\\\[.*?\\\]|\\\(.*?\\\)|\\[a-zA-Z]+", re.DOTALL)
_LATIN_WORD = re.compile(r"[a-zA-Zà-öø-ÿ]+")
_ENGLISH_WORDS = (
    "the of and to in is a that for it as was with be by on not he his are at this have from or had an they which you "
    "were her all she there would their we him been has when who will more if no out so what how many find let each "
    "does do can let if compute evaluate simplify determine solve write"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_LEAST_SHARE = 0.1
_REPEATED_LINES = 8


def quality_fault(trace: Trace, config: QualityConfig) -> str | None:
    """The first reason against a row, or None."""
    text = f"{trace.question}\n{trace.thinking}\n{trace.reply}"
    if not trace.question.strip() or not trace.reply.strip():
        return "missing question or reply"
    if config.require_thinking and not trace.thinking.strip():
        return "missing thinking"
    if config.require_answer and not trace.answer:
        return "missing answer"
    if _FAILED.search(trace.reply) or _FAILED.match(trace.thinking):
        return "failed API text"
    if config.no_figures and _FIGURE.search(trace.question):
        return "refers to a figure"
    if broken := _broken(text):
        return broken
    if left := next(iter(residue_in(trace, config.no_residue)), None):
        return NAMES[left]
    if config.languages and (found := language(trace.question)) not in config.languages:
        return f"language {found}"
    words = len(text.split())
    if not config.min_words <= words <= (config.max_words or words):
        return f"fewer than {config.min_words} words" if words < config.min_words else f"over {config.max_words} words"
    return None


def _broken(text: str) -> str | None:
    if _MOJIBAKE.search(text):
        return "broken characters"
    if text.count("```") % 2:
        return "a code block that never ends"
    for opening, opens, closing, closes in _OPENERS if "\\" in text else ():
        if len(opens.findall(text)) != len(closes.findall(text)):
            return f"LaTeX with {opening} but not as many {closing}"
    lines = Counter(line.strip() for line in text.splitlines() if len(line.strip()) > 20)
    if lines and lines.most_common(1)[0][1] >= _REPEATED_LINES:
        return "the same line over and over"
    return None


def language(text: str) -> str:
    """`zh`, `ja`, `ko`, `ru`, `ar`, `hi` by script; else `en` or `other` by common English words; `none` without words.

    A guess good enough to keep data sets apart, no more: Latin-script languages other than English are all `other`.
    """
    letters = sum(character.isalpha() for character in text) or 1
    for name, pattern in _SCRIPTS:
        if len(pattern.findall(text)) / letters >= _LEAST_SHARE:
            return name
    words = _LATIN_WORD.findall(_FORMULA.sub(" ", text).lower())
    long = [word for word in words if len(word) > 1]
    if len(long) < 3:
        return "en" if _LATIN_WORD.search(text) else "none"  # a formula
    return "en" if sum(word in _ENGLISH for word in long) / len(long) >= _LEAST_SHARE else "other"
