"""What stands in `\\boxed{}`: the last one counts, and boxes joined by a comma, "and" or "or" are one list."""

import re

_BOX_OR_BRACE = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[^a-zA-Z]|[{}]")
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$]{1,40})")
_LIST_GLUE = re.compile(
    r"(?:[\s$~]|\\[()\[\];,]|\\q?quad)*(?:,|;|、)?(?:[\s$~]|\\q?quad)*(?:\\text\{)?\s*(?:and|or|和|或)?\s*\}?"
    r"(?:[\s$~]|\\[()\[\];,]|\\q?quad)*",
    re.IGNORECASE,
)
_MOST_BOXES = 50  # looked at from the end


def last_boxed(text: str) -> str | None:
    """The content of the last closed, non-empty `\\boxed{}`; boxes joined by a comma, "and" or "or" are one list."""
    if "box" not in text:
        return None
    spans = _box_spans(text)
    if not spans:
        bare = _BARE_BOX.findall(text)
        return bare[-1] if bare else None
    start, _, content = spans[-1]
    contents = [content]
    for earlier_start, earlier_end, earlier in reversed(spans[-_MOST_BOXES:-1]):
        if earlier_start > start:  # inside the last box
            continue
        if earlier_end > start or not _LIST_GLUE.fullmatch(text[earlier_end:start][:40]) or start - earlier_end > 40:
            break
        contents.append(earlier)
        start = earlier_start
    return contents[0] if len(set(contents)) == 1 else ", ".join(reversed(contents))


def _box_spans(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every closed, non-empty box, in the order in which they close."""
    spans: list[tuple[int, int, str]] = []
    stack: list[tuple[int, int] | None] = []  # (start of \boxed, start of its content); None for a plain brace
    for match in _BOX_OR_BRACE.finditer(text):
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
