"""Brackets around and inside an answer: text cut outside of them, and whether one pair holds everything."""

from rewards.grading.math.scanner import Unread

OPENING, CLOSING = "([{⦃", ")]}⦄"
MOST_PARTS = 400


def split_top(text: str, marks: str) -> list[tuple[str, str]]:
    """`text` cut at the `marks` outside of brackets: (part, the mark before it), the first mark being ""."""
    if set(marks).isdisjoint(text):
        return [(text.strip(), "")]
    parts: list[tuple[str, str]] = []
    depth, start, before = 0, 0, ""
    for position, char in enumerate(text):
        if char in OPENING:
            depth += 1
        elif char in CLOSING:
            depth -= 1
        elif depth == 0 and char in marks:
            parts.append((text[start:position].strip(), before))
            start, before = position + 1, char
    parts.append((text[start:].strip(), before))
    if len(parts) > MOST_PARTS:
        raise Unread
    return parts


def encloses(text: str) -> bool:
    """Whether the first bracket closes at the very end."""
    depth = 0
    for position, char in enumerate(text):
        depth += (char in OPENING) - (char in CLOSING)
        if depth == 0:
            return position == len(text) - 1
    return False
