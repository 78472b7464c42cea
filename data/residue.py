"""What other programs left in texts: HTML, entities, characters that nobody sees, and answers that say nothing.

All of it is trained as it stands. It is counted wherever rows come in; only curation removes it, and where it is asked.
Code between backticks is text about markup, not markup.
"""

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from data.problem import Trace, references_of

_NAMES_OF_TAGS = (
    "a|abbr|b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|font|form|h[1-6]|head|hr|html|i|iframe|img|input|label"
    "|li|meta|ol|option|p|pre|script|section|select|small|span|strike|strong|style|sub|sup|table|tbody|td|tfoot|th|thead"
    "|tr|tt|u|ul|video"
)
_ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s<>"']+)"""
_TAG = re.compile(
    rf"<!--.*?-->|</(?:{_NAMES_OF_TAGS})\s*>|<(?:{_NAMES_OF_TAGS})(?:{_ATTRIBUTE})*\s*/?>", re.IGNORECASE | re.DOTALL
)
_WITHOUT_TEXT = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_LINE_ENDS = re.compile(r"<br\s*/?>|</(?:p|div|li|tr|h[1-6]|blockquote|table|ul|ol)\s*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{2,7}|#x[0-9a-f]{2,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_CHINESE = "\u3000-\u303f\u4e00-\u9fff\uff00-\uffef"
_INVISIBLE = re.compile(
    "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]"
    f"|(?<=[{_CHINESE}])[\u200c\u200d]|[\u200c\u200d](?=[{_CHINESE}])"  # elsewhere they join emoji and letters
)
_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_MANY_LINES = re.compile(r"[ \t]*\n(?:[ \t]*\n){2,}")

SAYS_NOTHING = frozenset(
    ["", "无", "暂无", "暂缺", "略", "na", "n/a", "n.a", "none", "null", "nil", "nan", "-", "--", "—", "——", "/", "\\"]
)
"""Texts of cells that hold nothing, in lower case and without a full stop."""
_SHORT = 40

NAMES = {
    "html": "HTML tags",
    "entities": "HTML entities",
    "control_characters": "control characters",
    "invisible_characters": "invisible characters",
    "empty_answer": "an answer that says nothing",
}
"""Kind of residue → what it is called."""


def _first_tag(text: str) -> re.Match[str] | None:
    return _TAG.search(text) if "<" in text else None


def _first_entity(text: str) -> re.Match[str] | None:
    if "&" not in text:
        return None
    return next((found for found in _ENTITY.finditer(text) if html.unescape(found[0]) != found[0]), None)


_FINDERS: dict[str, tuple[Callable[[str], re.Match[str] | None], bool]] = {
    "html": (_first_tag, True),
    "entities": (_first_entity, True),
    "control_characters": (_CONTROL.search, False),
    "invisible_characters": (_INVISIBLE.search, False),
}
"""Kind → (what finds the first of it, whether code is left out)."""


def found_in(text: str, kind: str) -> str:
    """The first residue of a kind in a text, with what stands around it; "" for none."""
    find, has_code = _FINDERS[kind]
    for part in _CODE.split(text)[::2] if has_code and "`" in text else [text]:
        if match := find(part):
            return part[max(0, match.start() - 10) : match.end() + 10]
    return ""


def says_nothing(trace: Trace) -> bool:
    """Whether the reply is what stands in a cell that has none; after thinking, "none" is an answer."""
    if trace.thinking.strip() or len(trace.reply) > _SHORT:
        return False
    return cleaned(trace.reply, list(_FINDERS)).strip().rstrip("。.").casefold() in SAYS_NOTHING


def residue_in(trace: Trace, kinds: Iterable[str] = tuple(NAMES)) -> dict[str, str]:
    """Kind of residue → an example of it in the row, for the kinds that the row has."""
    found = {}
    for kind in kinds:
        if kind == "empty_answer":
            example = repr(trace.reply) if says_nothing(trace) else ""
        else:
            texts = (
                trace.question,
                trace.thinking,
                trace.reply,
                trace.system or "",
                *chain(*trace.history),
                *trace.references,
            )
            example = next(filter(None, (found_in(text, kind) for text in texts)), "")
        if example:
            found[kind] = example
    return found


@dataclass(slots=True)
class ResidueCount:
    """How many rows have a kind of residue, and the first of them."""

    rows: int
    id: str
    example: str


def count_residue(traces: Iterable[Trace]) -> dict[str, ResidueCount]:
    """For each kind that some row has: how many, and one of them."""
    counts: dict[str, ResidueCount] = {}
    for trace in traces:
        add_residue(counts, trace)
    return counts


def add_residue(counts: dict[str, ResidueCount], trace: Trace) -> None:
    """Count the row where it has some."""
    for kind, example in residue_in(trace).items():
        counts.setdefault(kind, ResidueCount(0, trace.id, example)).rows += 1


def residue_lines(counts: dict[str, ResidueCount]) -> list[str]:
    """A line for each kind, for the screen and the report."""
    return [
        f"rows with {NAMES[kind]}, left as they are: {count.rows:,}, such as {count.id}: "
        + _CONTROL.sub(_escaped, _INVISIBLE.sub(_escaped, " ".join(count.example.split())))
        for kind, count in counts.items()
    ]


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in match[0])


def cleaned(text: str, kinds: Sequence[str]) -> str:
    """The text without these kinds of residue: entities become what they stand for, the rest goes."""
    parts = _CODE.split(text) if "`" in text else [text]
    for i in range(0, len(parts), 2):
        if "html" in kinds and "<" in parts[i] and _TAG.search(parts[i]):
            plain = _TAG.sub("", _LINE_ENDS.sub("\n", _WITHOUT_TEXT.sub("", parts[i])))
            parts[i] = _MANY_LINES.sub("\n\n", plain)
        if "entities" in kinds and "&" in parts[i]:
            parts[i] = _ENTITY.sub(lambda found: html.unescape(found[0]).replace("\xa0", " "), parts[i])
    text = "".join(parts)
    if "control_characters" in kinds:
        text = _CONTROL.sub("", text)
    return _INVISIBLE.sub("", text) if "invisible_characters" in kinds else text


def cleaned_trace(trace: Trace, kinds: Sequence[str]) -> tuple[Trace, list[str]]:
    """The row with its texts cleaned, and which of the kinds it had."""
    had = list(residue_in(trace, kinds)) if kinds else []
    if not had:
        return trace, []

    def clean(text: str) -> str:
        return cleaned(text, had).strip()

    answer = clean(trace.answer) if trace.answer else trace.answer
    row = replace(
        trace,
        question=clean(trace.question),
        thinking=clean(trace.thinking),
        reply=clean(trace.reply),
        answer=answer,
        system=clean(trace.system) if trace.system else trace.system,
        history=tuple((clean(user), clean(assistant)) for user, assistant in trace.history),
        key=clean(trace.key),
        references=references_of(answer or "", filter(None, map(clean, trace.references))),
    )
    return row, had
