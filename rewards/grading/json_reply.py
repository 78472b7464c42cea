"""The answer inside a reply that is a JSON object: `{"reasoning": "…", "answer": "8"}`, alone or in a code fence."""

import json
import re
from typing import Any

_ANSWER_KEYS = ("final_answer", "finalanswer", "answer", "final", "result", "solution", "correct_answer")
_LONGEST = 50_000  # characters of an object that is read
_FENCE = "```"
_SINGLE_BACKSLASH = re.compile(r"(?<!\\)((?:\\\\)*+)\\(?=[A-Za-z(\[{])")  # "\frac" is LaTeX, not a form feed
_LINE_BREAK = re.compile(r"\\n(?![a-z])")


def json_answer(text: str) -> str | None:
    """What the object's answer key holds, as text; None where `text` does not end with such an object.

    "" where the key holds no answer (null, an object).
    """
    if "}" not in text or "{" not in text:
        return None
    source = _object_at_end(text)
    if source is None or len(source) > _LONGEST:
        return None
    if '"' not in source:  # as Python writes it
        source = source.replace("'", '"')
    try:
        reply = json.loads(_SINGLE_BACKSLASH.sub(r"\1\\\\", source), parse_int=str, parse_float=str, strict=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict):
        return None
    by_key = {str(key).casefold().replace(" ", "_"): value for key, value in reply.items()}
    return next((_as_text(by_key[key]) for key in _ANSWER_KEYS if key in by_key), None)


def _object_at_end(text: str) -> str | None:
    """The source of the object that `text` is, or ends with: in the last code fence, or from the start of a line."""
    text = text.strip()
    if text.endswith(_FENCE) and text.count(_FENCE) >= 2:
        text = text[: -len(_FENCE)].rpartition(_FENCE)[2].removeprefix("json").removeprefix("JSON").strip()
    if not text.endswith("}"):
        return None
    if text.startswith("{"):
        return text
    line = max(text.rfind("\n{"), text.rfind(": {"))
    return text[line:].lstrip(":\n ") if line >= 0 else None


def _as_text(value: Any) -> str:
    """A number or text as it is written, a list with commas; "" for what is no answer (null, an object)."""
    if isinstance(value, str):
        return _LINE_BREAK.sub("\n", value).strip()
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return ""
