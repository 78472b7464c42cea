"""Messages of a conversation, in the spellings of OpenAI, ShareGPT and others, and what one says to a learner."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.cells import Fields, list_of, text_of
from data.row import BadRow
from data.thinking import MalformedThinking, split_thinking

ROLES = {
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "gpt-4", "gpt4", "model", "bot", "ai", "bard", "bing", "claude"),
    "system": ("system", "developer"),
}
"""Our role: what others call it, in any case of the letters."""
_ROLE_OF = {spelled: role for role, spellings in ROLES.items() for spelled in spellings}
TOOL = "tool"
"""The role of what no model here learns: a call of a tool, or what one returned."""
_TOOL_ROLES = {TOOL, "function", "function_call", "observation", "ipython", "tool_call", "tool_response"}
_NO_TOOLS = "tool calls are not trained; remove the row, or its turns with tools"
_TEXT_PARTS = ("text", "input_text", "output_text")
_THINKING_KEYS = ("reasoning_content", "reasoning", "thinking")
_MESSAGES_TEXT = re.compile(r"""\s*\[\s*\{.{0,200}?["'](?:role|from)["']\s*:""", re.DOTALL)
_PAIRED = (("human", "assistant"), ("human", "gpt"), ("user", "assistant"), ("input", "output"))
"""Keys of an entry that holds a question and its reply."""


@dataclass(frozen=True, slots=True)
class Message:
    """Who says what; `thinking` where it stands beside the text."""

    role: str
    text: str
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The last question and its reply, and what came before them."""

    question: str
    thinking: str
    reply: str
    system: str | None
    history: tuple[tuple[str, str], ...]


def messages_in(value: object) -> list[Fields] | None:
    """The messages that a cell holds, as a list or as its text in a CSV; None where it holds none."""
    if isinstance(value, str) and not _MESSAGES_TEXT.match(value):
        return None
    entries = list_of(value)
    if not entries or not all(isinstance(entry, Mapping) and {"role", "from"} & set(entry) for entry in entries):
        return None
    return entries


def unpaired(entries: Sequence[Any]) -> list[Any]:
    """The entries as messages, where each is one object with a question and its reply; else as they are."""
    found: list[Any] = []
    for entry in entries:
        keys = set(entry) if isinstance(entry, Mapping) else set()
        pair = next((pair for pair in _PAIRED if keys >= set(pair)), None)
        if pair is None:
            found.append(entry)
            continue
        head = [{"role": "system", "content": entry["system"]}] if entry.get("system") else []
        roles = zip(("user", "assistant"), pair, strict=True)
        found += head + [{"role": role, "content": entry[key]} for role, key in roles]
    return found


def read_message(
    entry: object, role: str | None = None, content: str | None = None, roles: Mapping[str, str] | None = None
) -> Message:
    """An OpenAI (role, content) or ShareGPT (from, value) message; `role`, `content`, `roles`: other names of these.

    Raises `BadRow` for an unknown role, tool calls, an image, an empty message, and text that is none.
    """
    if not isinstance(entry, Mapping):
        raise BadRow(f"a message is not an object but {type(entry).__name__}")
    # 1. who speaks
    spelled = str(entry.get(role or ("role" if "role" in entry else "from")))
    speaker = (roles or {}).get(spelled) or _ROLE_OF.get(spelled.lower())
    if speaker == TOOL or (speaker is None and spelled.lower() in _TOOL_ROLES):
        raise BadRow(f"a message from {spelled!r}: {_NO_TOOLS}")
    if speaker is None:
        raise BadRow(f"a message from {spelled!r}; known: {', '.join(_ROLE_OF)}")
    if entry.get("tool_calls") or entry.get("function_call"):
        raise BadRow(f"a message from the {speaker} that calls tools: {_NO_TOOLS}")
    # 2. what is said, and thought beside it
    column = content or ("content" if "content" in entry else "value")
    text, thoughts = _parts(entry.get(column), column)
    beside = [text_of(entry.get(key), key) for key in _THINKING_KEYS]
    thinking = next(filter(None, [thoughts, *beside]), "")
    if not text:
        raise BadRow(f"an empty message from the {speaker}" + (" beside its thinking" if thinking else ""))
    return Message(speaker, text, thinking)


def _parts(value: object, column: str) -> tuple[str, str]:
    """(text, thinking) of a message's content, which may be a list of parts."""
    if not isinstance(value, list):
        return text_of(value, column), ""
    text: list[str] = []
    thinking: list[str] = []
    for part in value:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in _TEXT_PARTS:
            text.append(text_of(part.get("text"), "text"))
        elif kind in ("thinking", "reasoning"):
            thinking.append(text_of(part.get(kind) or part.get("text"), kind))
        else:
            raise BadRow("a message with an image or another part that is no text")
    return "\n".join(text), "\n".join(thinking)


def dialogue_of(messages: Sequence[Message], system: str = "", thinking: str = "") -> Dialogue:
    """What the messages say; `system` and `thinking` stand beside them in the row.

    Thinking leaves all replies: the last one's is returned, earlier ones' is what no prompt shows. Raises `BadRow`.
    """
    # 1. the system message, from one of two places
    messages = list(messages)
    head = messages.pop(0).text if messages and messages[0].role == "system" else ""
    if head and system and head != system:
        raise BadRow("a system message and a column of another system prompt; keep one of them")
    # 2. question and reply by turns
    _check_turns([message.role for message in messages])
    *earlier, question, last = messages
    found, reply = _split(last.text)
    given = last.thinking or thinking
    if found and given and found != given:
        raise BadRow("thinking both inside the reply and beside it; keep one of them")
    texts = [_split(message.text)[1] if message.role == "assistant" else message.text for message in earlier]
    if not all(texts):
        raise BadRow("an earlier reply that is thinking alone")
    return Dialogue(
        question=question.text,
        thinking=given or found,
        reply=reply,
        system=head or system or None,
        history=tuple(zip(texts[::2], texts[1::2], strict=True)),
    )


def _check_turns(speakers: Sequence[str]) -> None:
    """Raises `BadRow` unless user and assistant take turns, and the assistant has the last word."""
    if not speakers or speakers[-1] != "assistant":
        raise BadRow("the conversation does not end with an assistant's reply")
    if list(speakers) == ["user", "assistant"] * (len(speakers) // 2):
        return
    if "system" in speakers:
        raise BadRow("user and assistant do not take turns: a system message in the middle")
    if speakers[0] == "assistant":
        raise BadRow("user and assistant do not take turns: the assistant speaks first")
    doubled = next(role for role, following in itertools.pairwise(speakers) if role == following)
    raise BadRow(f"user and assistant do not take turns: two messages of the {doubled} in a row")


def history_of(value: object, column: str) -> tuple[tuple[str, str], ...]:
    """Earlier turns, oldest first: [user, assistant] pairs, or messages. Raises `BadRow`."""
    if value in (None, "", (), []):
        return ()
    entries = list_of(value)
    if messages := messages_in(value):
        read = [read_message(entry) for entry in messages]
        _check_turns([message.role for message in read])
        entries = [(user.text, reply.text) for user, reply in zip(read[::2], read[1::2], strict=True)]
    if entries is None or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in entries):
        raise BadRow(f"column {column!r} is not a list of [user, assistant] pairs")
    return tuple((text_of(user, column), _split(text_of(reply, column))[1]) for user, reply in entries)


def _split(text: str) -> tuple[str, str]:
    try:
        return split_thinking(text)
    except MalformedThinking as error:
        raise BadRow(str(error)) from None
