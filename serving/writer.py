"""Completions written as they grow: to a terminal, or as JSON lines to another program."""

import json
from typing import TextIO

from transformers import PreTrainedTokenizerBase

from budget_forcing.transformers_sampler import BatchRow
from models.engines.generation import decode

PLAIN, DIM, MARK = "\x1b[0m", "\x1b[2m", "\x1b[0;1;33m"


class Writer:
    """Writes one completion as it grows: thinking dim, forced tokens marked; without a terminal, in brackets."""

    def __init__(self, out: TextIO, tokenizer: PreTrainedTokenizerBase, ansi: bool) -> None:
        self.out, self.tokenizer, self.ansi = out, tokenizer, ansi
        self.shown: list[int] = []  # the tokens written last
        self.pending: list[int] = []
        self.style = ""

    def token(self, row: BatchRow) -> None:
        """The row's newest token."""
        if not row.done:  # the end of the turn is not shown
            self.write(row.tokens[-1], _style(row))

    def write(self, token: int, kind: str) -> None:
        """A token that is "thinking", "forced" or "answer"."""
        self._turn(kind)
        self.pending.append(token)
        text = self._text()
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a character may take several tokens
            self._write(text)

    def finish(self) -> None:
        """Back to the terminal's own style, on a new line."""
        self._turn("")
        self._put("\n")

    def _text(self) -> str:
        """The pending tokens' text after what is shown: by themselves some decoders would strip their first space."""
        before = decode(self.tokenizer, self.shown)
        return decode(self.tokenizer, [*self.shown, *self.pending])[len(before) :]

    def _write(self, text: str) -> None:
        if text:
            self.shown = self.pending
        self.pending = []
        self._put(text)

    def _turn(self, style: str) -> None:
        if style == self.style:
            return
        if self.pending:
            self._write(self._text())
        self._mark(style)
        self.style = style

    def _put(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()

    def _mark(self, style: str) -> None:
        """Show that `style` begins where `self.style` ends."""
        if self.ansi:
            self.out.write({"forced": MARK, "thinking": DIM, "answer": PLAIN, "": PLAIN}[style])
        else:
            self.out.write("⟧" * (self.style == "forced") + "⟦" * (style == "forced"))


class JsonWriter(Writer):
    """Writes one completion as it grows, a piece a line: `{"kind": "thinking", "text": "…"}`, or forced, or answer."""

    def __init__(self, out: TextIO, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(out, tokenizer, ansi=False)

    def finish(self) -> None:
        """Nothing is left pending."""
        self._turn("")

    def _put(self, text: str) -> None:
        if text:
            super()._put(json.dumps({"kind": self.style, "text": text}) + "\n")

    def _mark(self, style: str) -> None:
        """Each piece names its own."""


def _style(row: BatchRow) -> str:
    """What the row's newest token belongs to; a model that does not think decodes without a state."""
    state = row.state
    if state is not None and state.forced[-1]:
        return "forced"
    return "answer" if state is None or state.answer_at is not None else "thinking"
