"""The answer as it stands in a completion, and when two texts are the same."""

import re
import unicodedata

from data.think_format import ThinkFormat
from data.turn_reader import without_any_end_of_turn

_SPACE = re.compile(r"\s+")
_HAN = "[\u3005\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # 々 and 〇 among them
_SPACE_BESIDE_HAN = re.compile(f"(?<={_HAN}) | (?={_HAN})")
_FENCE = re.compile(r"(`{3,}|~{3,})[^`\n]*\n(.*?)\n?\1", re.DOTALL)


def literal_answer(completion: str, think_format: ThinkFormat | None) -> str | None:
    """The whole answer section, and of bare text all of it; None where it is missing or blank.

    Nothing is looked for inside: a number in a sentence is no answer of its own.
    """
    answer = without_any_end_of_turn(completion) if think_format is None else think_format.split(completion).answer
    return answer.strip() or None


def normal(text: str) -> str:
    """`text` for comparison: Unicode's NFKC (full-width forms are their plain ones), white space made one space.

    None is left beside a Han character: where it stands is a matter of typesetting.
    """
    spaced = _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip()
    return _SPACE_BESIDE_HAN.sub("", spaced)


def unfenced(answer: str) -> str:
    """What a code fence of CommonMark around the whole answer holds; the answer where there is none."""
    fenced = _FENCE.fullmatch(answer.strip())
    return fenced[2] if fenced else answer
