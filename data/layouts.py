"""Layouts of training files: which columns they have, and how a row of them becomes a turn."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data import answers
from data.cells import Fields, cell, gold_at, has_column, list_of, text_at
from data.messages import Dialogue, Message, dialogue_of, history_of, messages_in, read_message, unpaired
from data.residue import SAYS_NOTHING
from data.row import BadRow

_CALCULATOR = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True, slots=True)
class Turn:
    """What a row says, before it has an id and a source."""

    question: str
    reply: str
    thinking: str = ""
    answer: str | None = None
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    id: str | None = None
    metadata: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """`fits` tells a row of this layout; `convert` reads it, and raises `BadRow`."""

    name: str
    fits: Callable[[Fields], bool]
    convert: Callable[[Fields], Turn]
    is_asked: bool = True
    """Whether its rows have a question; documents have none."""


def detect_layout(rows: Sequence[Fields]) -> Layout | None:
    """The layout that most rows fit (the first one listed that a row fits is its own); None if none does."""
    own = [next((layout for layout in LAYOUTS if layout.fits(row)), None) for row in rows]
    counted = Counter(LAYOUTS.index(layout) for layout in own if layout)
    return LAYOUTS[counted.most_common(1)[0][0]] if counted else None


def columns(name: str, names: Mapping[str, str], required: Sequence[str] = ("question", "reply")) -> Layout:
    """One column each for question, input, thinking, reply, answer, system, history, id; `names` gives theirs.

    Question and reply may be lists of messages, as TRL's `prompt` and `completion` are.
    """
    needed = [names[key] for key in required]

    def convert(row: Fields) -> Turn:
        for column in needed:
            if not has_column(row, column):
                raise BadRow(f"no column {column!r}; it has {', '.join(row)}")
        dialogue = _dialogue(row, names)
        return Turn(
            question="\n".join(filter(None, (dialogue.question, text_at(row, names.get("input"))))),
            thinking=dialogue.thinking,
            reply=dialogue.reply,
            answer=gold_at(row, names.get("answer")) or None,
            system=dialogue.system,
            history=dialogue.history or history_of(cell(row, names.get("history")), names.get("history", "")),
            id=_id(row, names.get("id")),
            metadata=_rest(row, names.values()),
        )

    return Layout(name, lambda row: all(has_column(row, column) for column in needed), convert)


def _dialogue(row: Fields, names: Mapping[str, str]) -> Dialogue:
    """Question and reply of a row, each of which is text or messages."""
    messages: list[Message] = []
    for key, role in (("question", "user"), ("reply", "assistant")):
        column = names[key]
        entries = messages_in(cell(row, column))
        if entries is not None:
            messages += [read_message(entry) for entry in entries]
        else:
            read = gold_at if column == names.get("answer") else text_at
            messages.append(Message(role, read(row, column)))
    return dialogue_of(messages, text_at(row, names.get("system")), text_at(row, names.get("thinking")))


def conversation(
    names: Mapping[str, str],
    name: str,
    role: str | None = None,
    content: str | None = None,
    roles: Mapping[str, str] | None = None,
) -> Layout:
    """A list of messages; the last one is the reply to learn, the earlier ones its history.

    `names` gives the column of `messages`, and of `system`, `thinking`, `answer`, `id` beside it.
    """
    column = names["messages"]

    def convert(row: Fields) -> Turn:
        entries = list_of(cell(row, column))
        if entries is None:
            raise BadRow(f"no list of messages in column {column!r}; it has {', '.join(row)}")
        if list_of(row.get("tools")) or isinstance(row.get("tools"), dict):
            raise BadRow("column 'tools' lists tools, which no prompt would show; remove the column, or the row")
        messages = [read_message(entry, role, content, roles) for entry in unpaired(entries)]
        dialogue = dialogue_of(messages, text_at(row, names.get("system")), text_at(row, names.get("thinking")))
        return Turn(
            question=dialogue.question,
            thinking=dialogue.thinking,
            reply=dialogue.reply,
            answer=gold_at(row, names.get("answer")) or None,
            system=dialogue.system,
            history=dialogue.history,
            id=_id(row, names.get("id")),
            metadata=_rest(row, names.values()),
        )

    return Layout(name, lambda row: list_of(row.get(column)) is not None, convert)


_CRAWLED = {"text", "id", "url", "source", "timestamp", "meta", "metadata"}
"""What a row of a corpus may say beside its text: where that is from."""


def documents(names: Mapping[str, str]) -> Layout:
    """A text a row, to go on pre-training with; `names` gives the column of `text`, and of `id` beside it."""
    column = names["text"]

    def convert(row: Fields) -> Turn:
        if not has_column(row, column):
            raise BadRow(f"no column {column!r}; it has {', '.join(row)}")
        text = text_at(row, column)
        return Turn(question="", reply=text, id=_id(row, names.get("id")), metadata=_rest(row, names.values()))

    return Layout("text", lambda row: column in row and set(row) <= _CRAWLED | {column}, convert, is_asked=False)


def _id(row: Fields, column: str | None) -> str | None:
    return text_at(row, column) or None


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
        question=text_at(row, "question"),
        thinking=str(trajectory or "").strip(),
        reply=text_at(row, used[0]) if used else "",
        answer=text_at(row, "solution") or None,
        metadata=_rest(row, _S1K),
    )


def _turn(dialogue: Dialogue, metadata: Fields) -> Turn:
    """The turn of a row that says nothing beside its dialogue."""
    return Turn(
        question=dialogue.question,
        thinking=dialogue.thinking,
        reply=dialogue.reply,
        system=dialogue.system,
        history=dialogue.history,
        metadata=metadata,
    )


def _titled(question: str) -> Layout:
    """Medical dialogues: a title, the patient's words in the column `question`, a doctor's answer."""

    def convert(row: Fields) -> Turn:
        parts = dict.fromkeys(text_at(row, key) for key in ("title", question))
        asked = "\n".join(part for part in parts if part.lower() not in SAYS_NOTHING)
        dialogue = dialogue_of([Message("user", asked), Message("assistant", text_at(row, "answer"))])
        return _turn(dialogue, _rest(row, ["title", question, "answer"]))

    # a title beside a context is the article's that is asked about, as in SQuAD
    needed = {question, "answer"} | ({"title"} if question != "ask" else set())
    return Layout(f"title-{question}-answer", lambda row: needed <= row.keys() and "context" not in row, convert)


_SPOKEN = (
    re.compile(r"\s*(?:问|Q|Question)\s*[:：]\s*", re.IGNORECASE),
    re.compile(r"\s*(?:答|A|Answer)\s*[:：]\s*", re.IGNORECASE),
)
"""How a text begins that says by itself whether it asks or answers."""


def _is_spoken(row: Fields) -> bool:
    texts = list_of(row.get("data")) or [""]
    return all(isinstance(text, str) for text in texts) and bool(_SPOKEN[0].match(texts[0]))


def _spoken(row: Fields) -> Turn:
    """HuatuoGPT: `{"data": ["问：…", "答：…", …]}`, question and answer by turns."""
    messages = []
    for at, text in enumerate(list_of(row.get("data")) or []):
        said = _SPOKEN[at % 2].match(text)
        if said is None:
            raise BadRow(f"column 'data': text {at + 1} does not begin with {'问：' if at % 2 == 0 else '答：'}")
        messages.append(Message("assistant" if at % 2 else "user", text[said.end() :].strip()))
    dialogue = dialogue_of(messages)
    return _turn(dialogue, _rest(row, ["data"]))


def _gsm8k(row: Fields) -> Turn:
    """The worked solution is the thinking, without its `<<calculator>>` notes; the number after `####` is the reply."""
    solution = text_at(row, "answer")
    answer = answers.after_hashes(solution) or ""
    return Turn(
        question=text_at(row, "question"),
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
    """A question's column and a reply's, with thinking between them first."""
    questions = ("question", "problem", "prompt", "query", "instruction", "input")
    replies = ("response", "output", "completion", "reply", "solution", "answer")
    pairs = [
        {"question": question, "reply": reply, "answer": "answer", "system": "system"}
        for question in questions
        for reply in replies
    ]
    thinking = ("thinking", "reasoning", "reasoning_content")
    with_thinking = [
        columns("question-thinking-answer", {**pair, "thinking": column}, required=("question", "thinking", "reply"))
        for pair in pairs
        for column in thinking
    ]
    return [*with_thinking, *(columns("question-answer", pair) for pair in pairs)]


def _rest(row: Fields, used: Any) -> dict[str, Any]:
    taken = {*used, "id"}
    return {key: value for key, value in row.items() if key not in taken}


_OWN = {key: key for key in ("question", "thinking", "reply", "answer", "system", "history", "source")}
_ALPACA = {"question": "instruction", "input": "input", "system": "system", "history": "history"}
_ORCA = {"system": "system_prompt", "question": "question", "reply": "response"}

_UNNAMED = {"question": "column_0", "reply": "column_1"}
UNNAMED = "column_0-column_1"
"""Two columns of a file without header: the first asks, the second answers."""

LAYOUTS = (
    columns("traces", _OWN, required=("question", "thinking", "reply")),
    Layout("s1k", lambda row: bool({"thinking_trajectories", "deepseek_thinking_trajectory"} & set(row)), _s1k),
    conversation({"messages": "messages", "system": "system"}, "messages"),
    conversation({"messages": "conversations", "system": "system"}, "sharegpt"),
    conversation({"messages": "conversation", "system": "system"}, "conversation"),
    columns("alpaca", {**_ALPACA, "reply": "output"}),
    columns("alpaca", {**_ALPACA, "reply": "response"}),
    _titled("ask"),
    Layout("gsm8k", _is_gsm8k, _gsm8k),
    _titled("question"),
    Layout("huatuo", _is_spoken, _spoken),
    columns("system-question-answer", _ORCA, required=("system", "question", "reply")),
    *_pairs(),
    Layout(UNNAMED, lambda row: set(row) == {"column_0", "column_1"}, columns(UNNAMED, _UNNAMED).convert),
    documents({"text": "text"}),
    documents({"text": "column_0"}),
)
