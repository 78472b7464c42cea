"""What stands in `\\boxed{}`: the last one counts, and boxes joined by a comma, "and" or labels are one list."""

import re
from collections import deque
from dataclasses import dataclass

_BOX_OR_BRACE = re.compile(r"\{|\}|\\(?:(?:boxed|fbox)\s*\{|[^a-zA-Z])")  # literals first: `re` skips to one
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$]{1,40})")
_LIST_GLUE = re.compile(
    r"(?:[\s$~]|\\[()\[\];,]|\\q?quad)*(?:,|;|、)?(?:[\s$~]|\\q?quad)*(?:\\text\{)?\s*(?:and|or|和|或)?\s*\}?"
    r"(?:[\s$~]|\\[()\[\];,]|\\q?quad)*",
    re.IGNORECASE,
)
_LABEL = re.compile(  # (a), b), part (ii):, "for (c):"
    r"[\s$.,;:*~]*(?:and\b|or\b|also\b|for\b|in\b|part\b|question\b|answer\b|is\b|[\s$.,;:*~#-])*"
    r"\(?(?:[a-h]|i{1,3}|iv|vi{0,3}|[1-9])[).:]+(?:[\s$.,;:=*~-]|the\b|answer\b|is\b|[a-zA-Z]\s?=)*"
    r"|[\s$.,;~]*and also[\s$]*"
    r"|[\s$.,;~]*(?:and\b)?[\s$,;]*[a-zA-Z]\s?=\s?\$?",
    re.IGNORECASE,
)
_OPEN_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{([^\n]{1,200})\Z")
_MOST_BOXES = 50  # looked at from the end


@dataclass(frozen=True, slots=True)
class Box:
    """The content of a box, or of several that are one list, and where it starts and ends in the text."""

    content: str
    start: int
    end: int


def last_boxed(text: str) -> str | None:
    """The content of `last_box`; None without one."""
    box = last_box(text)
    return None if box is None else box.content


def last_box(text: str) -> Box | None:
    """The last closed, non-empty `\\boxed{}`; boxes joined by a comma, "and", "or" or the labels of parts are one list.

    A box that the end of the text left open counts where there is no other.
    """
    if "box" not in text:
        return None
    spans = _box_spans(text)
    if not spans:
        bare = deque(_BARE_BOX.finditer(text), maxlen=1) or deque(_OPEN_BOX.finditer(text[-250:]), maxlen=1)
        return Box(bare[0][1], bare[0].start(), len(text)) if bare else None
    start, end, content = spans[-1]
    contents = [content]
    for earlier_start, earlier_end, earlier in reversed(spans[-_MOST_BOXES:-1]):
        if earlier_start > start:  # inside the last box
            continue
        if earlier_end > start or start - earlier_end > 40 or not _joins(text[earlier_end:start]):
            break
        contents.append(earlier)
        start = earlier_start
    return Box(contents[0] if len(set(contents)) == 1 else ", ".join(reversed(contents)), start, end)


def _joins(between: str) -> bool:
    """Whether what stands between two boxes makes them one list: a comma, "and", or the label of the next part."""
    return _LIST_GLUE.fullmatch(between) is not None or _LABEL.fullmatch(between) is not None


def _scan_start(text: str) -> int:
    """Where the last boxes begin; twice as many as are looked at, so that one inside another is whole."""
    at = len(text)
    for _ in range(2 * _MOST_BOXES):
        at = text.rfind("box", 0, at)
        if at < 0:
            return 0
    return max(at - 2, 0)


def _box_spans(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of the last closed, non-empty boxes, in the order in which they close."""
    spans: list[tuple[int, int, str]] = []
    stack: list[tuple[int, int] | None] = []  # (start of \boxed, start of its content); None for a plain brace
    for match in _BOX_OR_BRACE.finditer(text, _scan_start(text)):
        token = match.group()
        if token == "{":
            stack.append(None)
        elif token == "}" and stack:
            opened = stack.pop()
            if opened and (content := text[opened[1] : match.start()].strip()):
                spans.append((opened[0], match.end(), content))
        elif token.endswith("{") and token != "\\{":
            stack.append((match.start(), match.end()))
    return spans
