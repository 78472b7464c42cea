"""Layouts of training files: which columns they have, and how a row of them becomes a turn."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data import answers
from data.thinking import EndlessThinking, split_thinking

Fields = Mapping[str, Any]

_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
}
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_NOTHING = {"", "无", "n/a", "none", "-"}


class BadRow(ValueError):
    """Why a row can't be used."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a row says, before it has an id and a source."""

    question: str
    reply: str
    thinking: str = ""
    answer: str | None = None
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    metadata: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """`fits` tells a row of this layout; `convert` reads it, and raises `BadRow`."""

    name: str
    fits: Callable[[Fields], bool]
    convert: Callable[[Fields], Turn]


def detect(rows: Sequence[Fields]) -> Layout | None:
    """The layout that most rows fit (the first one listed that a row fits is its own); None if none does."""
    own = [next((layout for layout in LAYOUTS if layout.fits(row)), None) for row in rows]
    counted = Counter(LAYOUTS.index(layout) for layout in own if layout)
    return LAYOUTS[counted.most_common(1)[0][0]] if counted else None


def columns(name: str, names: Mapping[str, str], required: Sequence[str] = ("question", "reply")) -> Layout:
    """One column each for question, input, thinking, reply, answer, system, history, id; `names` gives theirs."""
    needed = [names[key] for key in required]

    def convert(row: Fields) -> Turn:
        for column in needed:
            if column not in row:
                raise BadRow(f"no column {column!r}; it has {', '.join(row)}")
        question = "\n".join(filter(None, (_text(row, names.get(key)) for key in ("question", "input"))))
        thinking, reply = _text(row, names.get("thinking")), _text(row, names["reply"])
        if not thinking:
            thinking, reply = _split(reply)
        return Turn(
            question=question,
            thinking=thinking,
            reply=reply,
            answer=_text(row, names.get("answer")) or None,
            system=_text(row, names.get("system")) or None,
            history=_history(row.get(names.get("history", ""))),
            metadata=_rest(row, names.values()),
        )

    return Layout(name, lambda row: all(column in row for column in needed), convert)


def conversation(
    column: str,
    name: str,
    system: str | None = None,
    role: str | None = None,
    content: str | None = None,
    roles: Mapping[str, str] | None = None,
) -> Layout:
    """A list of messages; the last one is the reply to learn, the earlier ones its history."""

    def convert(row: Fields) -> Turn:
        if not isinstance(row.get(column), list):
            raise BadRow(f"no list of messages in column {column!r}; it has {', '.join(row)}")
        messages = [_message(entry, role, content, {**_ROLES, **(roles or {})}) for entry in row[column]]
        head = _text(row, system) or None
        if messages and messages[0][0] == "system":
            head = messages.pop(0)[1]
        if not messages or messages[-1][0] != "assistant":
            raise BadRow("the conversation does not end with an assistant's reply")
        if [speaker for speaker, _, _ in messages] != ["user", "assistant"] * (len(messages) // 2):
            raise BadRow("user and assistant do not take turns")
        thinking, reply = messages[-1][2], messages[-1][1]
        if not thinking:
            thinking, reply = _split(reply)
        texts = [text for _, text, _ in messages[:-2]]
        return Turn(
            question=messages[-2][1],
            thinking=thinking,
            reply=reply,
            system=head,
            history=tuple(zip(texts[::2], texts[1::2], strict=True)),
            metadata=_rest(row, [column, system or ""]),
        )

    return Layout(name, lambda row: isinstance(row.get(column), list), convert)


def _message(entry: Any, role: str | None, content: str | None, roles: Mapping[str, str]) -> tuple[str, str, str]:
    """(role, text, thinking) of an OpenAI (role, content) or ShareGPT (from, value) message."""
    if not isinstance(entry, Mapping):
        raise BadRow(f"a message is not an object but {type(entry).__name__}")
    speaker = str(entry.get(role or ("role" if "role" in entry else "from")))
    if speaker not in roles:
        raise BadRow(f"a message from {speaker!r}; known: {', '.join(roles)}")
    text = entry.get(content or ("content" if "content" in entry else "value"))
    if isinstance(text, list):
        if any(not isinstance(part, Mapping) or part.get("type") != "text" for part in text):
            raise BadRow("a message with an image or another part that is no text")
        text = "\n".join(str(part.get("text", "")) for part in text)
    if not isinstance(text, str) or not text.strip():
        raise BadRow("an empty message")
    return roles[speaker], text.strip(), str(entry.get("reasoning_content") or entry.get("thinking") or "").strip()


_S1K = (
    "question",
    "answer",
    "solution",
    *("attempt", "deepseek_attempt", "gemini_attempt"),
    *("thinking_trajectories", "deepseek_thinking_trajectory", "gemini_thinking_trajectory"),
)
"""What a row of s1K or s1K-1.1 is made of; the trajectories of models that are not taken are no metadata either."""


def _s1k(row: Fields) -> Turn:
    """s1K and s1K-1.1: a question, a reasoning trajectory, and the attempt that follows it."""
    trajectory = row.get("deepseek_thinking_trajectory") or row.get("thinking_trajectories")
    if isinstance(trajectory, list):
        trajectory = "\n".join(str(part) for part in trajectory if part)
    used = [key for key in ("deepseek_attempt", "attempt", "answer") if row.get(key)]
    return Turn(
        question=_text(row, "question"),
        thinking=str(trajectory or "").strip(),
        reply=_text(row, used[0]) if used else "",
        answer=_text(row, "solution") or None,
        metadata=_rest(row, _S1K),
    )


def _title_ask(row: Fields) -> Turn:
    """Medical dialogues: a title, the patient's words, a doctor's answer."""
    parts = [_text(row, key) for key in ("title", "ask")]
    asked = [part for part in dict.fromkeys(parts) if part.lower() not in _NOTHING]
    return Turn(
        question="\n".join(asked),
        reply=_text(row, "answer"),
        metadata=_rest(row, ["title", "ask", "answer"]),
    )


def _gsm8k(row: Fields) -> Turn:
    """The worked solution is the thinking, without its `<<calculator>>` notes; the number after `####` is the reply."""
    solution = _text(row, "answer")
    answer = answers.after_hashes(solution) or ""
    return Turn(
        question=_text(row, "question"),
        thinking=worked(solution),
        reply=answer,
        answer=answer or None,
        metadata=_rest(row, ["question", "answer"]),
    )


def worked(solution: str) -> str:
    """A reference solution as thinking: without GSM8K's `<<calculator>>` notes and its `#### answer`."""
    head, hashes, _ = solution.rpartition("####")
    return _CALCULATOR.sub("", head if hashes else solution).strip()


def _is_gsm8k(row: Fields) -> bool:
    return "question" in row and "####" in str(row.get("answer") or "")


def _pairs() -> list[Layout]:
    questions = ("question", "problem", "prompt", "query", "instruction", "input")
    replies = ("response", "output", "completion", "reply", "solution", "answer")
    return [
        columns("question-answer", {"question": question, "reply": reply, "answer": "answer"})
        for question in questions
        for reply in replies
    ]


def _split(reply: str) -> tuple[str, str]:
    try:
        return split_thinking(reply)
    except EndlessThinking as error:
        raise BadRow(str(error)) from None


def _text(row: Fields, column: str | None) -> str:
    value = row.get(column) if column else None
    return "" if value is None else str(value).strip()


def _history(value: Any) -> tuple[tuple[str, str], ...]:
    if not value:
        return ()
    if not isinstance(value, list) or not all(_is_pair(pair) for pair in value):
        raise BadRow("history is not a list of [user, assistant] pairs")
    return tuple((str(user), str(assistant)) for user, assistant in value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and None not in value


def _rest(row: Fields, used: Any) -> dict[str, Any]:
    taken = {*used, "id"}
    return {key: value for key, value in row.items() if key not in taken}


_OWN = {key: key for key in ("question", "thinking", "reply", "answer", "system", "history", "source")}
_ALPACA = {"question": "instruction", "input": "input", "system": "system", "history": "history"}

LAYOUTS = (
    columns("traces", _OWN, required=("question", "thinking", "reply")),
    Layout("s1k", lambda row: bool({"thinking_trajectories", "deepseek_thinking_trajectory"} & set(row)), _s1k),
    conversation("messages", "messages"),
    conversation("conversations", "sharegpt"),
    columns("alpaca", {**_ALPACA, "reply": "output"}),
    columns("alpaca", {**_ALPACA, "reply": "response"}),
    Layout("title-ask-answer", lambda row: "ask" in row and "answer" in row, _title_ask),
    Layout("gsm8k", _is_gsm8k, _gsm8k),
    *_pairs(),
)
