"""A conversation with one or two models beside one another: its turns, and how they look."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from board import markup
from board.strings import Strings


@dataclass(slots=True)
class Reply:
    """What one model said: pieces (kind, text), where a kind is "thinking", "forced" or "answer"; how it ended."""

    model: str
    pieces: list[tuple[str, str]] = field(default_factory=list)
    ending: str = ""
    error: str = ""

    @property
    def has_thinking(self) -> bool:
        """Whether it is a whole answer that was thought about."""
        return bool(self.ending) and any(kind != "answer" for kind, _ in self.pieces)

    def add(self, found: dict[str, Any]) -> None:
        """Take what the model's process said next."""
        if "kind" in found:
            self.pieces.append((str(found["kind"]), str(found["text"])))
        self.ending = str(found.get("ending", self.ending))

    def of_kind(self, *kinds: str) -> str:
        """The text of some kinds."""
        return "".join(text for kind, text in self.pieces if kind in kinds)


@dataclass(slots=True)
class Turn:
    """A message and each model's reply."""

    message: str
    replies: list[Reply] = field(default_factory=list)


def shown(turns: Sequence[Turn], say: Strings, waiting: str = "") -> str:
    """The conversation as HTML; thinking is open while it is all there is, and folded behind an answer."""
    parts = []
    for turn in turns:
        parts.append(f'<div class="turn user"><b>{html.escape(say("you"))}</b>\n{html.escape(turn.message)}</div>')
        replies = "".join(f'<div class="turn">{_reply(reply, say)}</div>' for reply in turn.replies)
        parts.append(f'<div class="columns">{replies}</div>')
    if waiting:
        parts.append(f'<p class="note">{html.escape(waiting)}</p>')
    return markup.inert(f'<div class="mull">{"".join(parts)}</div>')


def _reply(reply: Reply, say: Strings) -> str:
    head = f"<b>{html.escape(reply.model)}</b>"
    fault = f'\n<span class="fault">{html.escape(reply.error)}</span>' if reply.error else ""
    if fault and not reply.ending:  # what there is of it was forgotten
        return head + fault
    at = next((i for i, (kind, _) in enumerate(reply.pieces) if kind == "answer"), len(reply.pieces))
    thinking, answer = reply.pieces[:at], reply.pieces[at:]
    is_open = "" if answer else " open"
    forced = _pieces([piece for piece in thinking if piece[0] == "forced"], say) if answer else ""
    summary = f"{html.escape(say('thinking'))} {forced}"
    folded = f"<details{is_open}><summary>{summary}</summary>{_pieces(thinking, say)}</details>"
    ending = f'<p class="note">{html.escape(reply.ending)}</p>' if reply.ending else ""
    return f"{head}\n{folded if thinking else ''}{_pieces(answer, say)}{ending}{fault}"


def _pieces(pieces: Sequence[tuple[str, str]], say: Strings) -> str:
    title = html.escape(say("forced"))
    texts = [(kind, html.escape("".join(t for _, t in run))) for kind, run in groupby(pieces, key=lambda one: one[0])]
    return "".join(
        f'<span class="forced" title="{title}">{text}</span>' if kind == "forced" else text for kind, text in texts
    )


def exported(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The conversation as JSON: thinking and answer of each reply, with what was forced."""
    return [
        {
            "message": turn.message,
            "replies": [
                {
                    "model": reply.model,
                    "pieces": [{"kind": kind, "text": text} for kind, text in _joined(reply.pieces)],
                    "ending": reply.ending or reply.error,
                }
                for reply in turn.replies
            ],
        }
        for turn in turns
    ]


def _joined(pieces: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for kind, run in groupby(pieces, key=lambda one: one[0]):
        yield kind, "".join(text for _, text in run)
