"""The one reader of a turn: where its thinking ends, and which part of it is the answer.

What is graded, what is served, what an engine counts in tokens, and what a stream shows while it grows are all read
here. The policy:

- The thinking begins after the opening, which may be missing where the prompt prefills it. The first end of thinking
  ends it, as in budget forcing. A turn whose thinking is never opened may begin its answer at once, where the format
  has a delimiter for that. A thinking that is opened (or prefilled) and never ended is cut: there is no answer.
- Behind the thinking, the end of the turn ends everything.
- An answer with a closing delimiter is the last complete block that is not empty, so that a later block corrects an
  earlier one and never stands beside it; without any, what follows the last opening. A stream shows such an answer when
  the turn has ended.
- An answer without a closing delimiter is the first stretch that is not empty, up to the end of the turn, to thinking
  that is opened again, or to another opening of the answer. A repeated end of thinking is a part of its text.
- An answer that is never opened, where the format has an opening for it, is no answer.
- Both parts come without white space around them. Openings and ends of a turn inside the thinking are left out.

Every pass is linear in the length of the text.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

ENDS_OF_TURN = (
    *(f"<|{name}|>" for name in ("im_end", "endoftext", "end_of_text", "eot_id", "eom_id", "end", "return")),
    *(f"<|{name}|>" for name in ("end_of_turn", "END_OF_TURN_TOKEN", "user", "observation")),
    *("</s>", "<eos>", "<end_of_turn>", "<turn|>", "[|endofturn|]", "[EOS]", "<seed:eos>", "<｜end▁of▁sentence｜>"),
)
"""What models end a turn with, or begin the next one of the user with."""

END_OF_TURN = re.compile("|".join(map(re.escape, ENDS_OF_TURN)))
_SIGNS_OF_AN_END = ("|", "s>", "n>", "S]", "｜")  # each end of a turn holds one of them, and few texts do


class Delimiters(Hashable, Protocol):
    """What of a think format the reader needs; see `data.think_format.ThinkFormat`."""

    @property
    def open(self) -> str: ...
    @property
    def prefill(self) -> str: ...
    @property
    def end(self) -> str: ...
    @property
    def end_tokens(self) -> tuple[str, ...]: ...
    @property
    def answer_open(self) -> str: ...
    @property
    def answer_close(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """A turn taken apart.

    thinking, answer  without delimiters and without white space around them; "" where there is none
    is_complete       the answer is there and closed; where nothing closes it, the text was whole or the turn has ended
    thinking_end      where in the text the thinking ends; its length where it does not
    answer_start      where in the text the answer begins; its length where there is none
    """

    thinking: str
    answer: str
    is_complete: bool
    thinking_end: int
    answer_start: int


def without_any_end_of_turn(text: str) -> str:
    """`text` without what ends a turn, wherever it stands."""
    return END_OF_TURN.sub("", text) if any(map(text.__contains__, _SIGNS_OF_AN_END)) else text


def read_turn(think_format: Delimiters, text: str, is_growing: bool = False) -> Parts:
    """The parts of a turn, prefilled part included; while it grows, what may turn out a delimiter is held back."""
    marks = _marks(think_format)
    # 1. the opening
    bare = text.lstrip()
    if is_growing and any(head != bare and head.startswith(bare) for head in marks.heads):
        return Parts("", "", False, len(text), len(text))
    head = next((head for head in marks.heads if bare.startswith(head)), "")
    start = len(text) - len(bare) + len(head) if head else 0
    # 2. the end of the thinking
    if not marks.ends:
        return _with_answer(think_format, text, "", 0, 0, is_growing)
    found = marks.first_end(text, start, is_open=bool(head or think_format.prefill))
    if found is None:
        thinking = marks.cleaned(text[start:], is_growing)
        return Parts(thinking, "", False, len(text), len(text))
    thinking = marks.cleaned(text[start : found.start()], is_growing=False)
    # 3. where the search for the answer begins: at its opening, or behind the end of the thinking as it is spelled
    spelled = (think_format.end.rstrip(), found.group())
    if think_format.answer_open:
        behind = found.start() if text.startswith(think_format.answer_open, found.start()) else found.end()
    else:
        rest = text[found.start() :][: max(map(len, (think_format.end, *think_format.end_tokens)))]
        if is_growing and any(end != rest and end.startswith(rest) for end in (think_format.end, *marks.ends)):
            return Parts(thinking, "", False, found.start(), len(text))
        behind = found.start() + len(next(end for end in spelled if end and rest.startswith(end)))
    # 4. the answer
    return _with_answer(think_format, text, thinking, found.start(), behind, is_growing)


def _with_answer(
    think_format: Delimiters, text: str, thinking: str, thinking_end: int, behind: int, is_growing: bool
) -> Parts:
    """The parts, with the answer found in `text` from `behind` on."""
    marks = _marks(think_format)
    end_of_turn = marks.end_of_turn.search(text, behind)
    until = end_of_turn.start() if end_of_turn else len(text)
    is_growing = is_growing and end_of_turn is None
    if think_format.answer_open and think_format.answer_close:
        start, answer, is_complete = -1, "", False
        if not is_growing:
            region = text[behind:until]
            start, answer, is_complete = last_block(region, think_format.answer_open, think_format.answer_close)
    else:
        start, answer, is_complete = _first_stretch(text[behind:until], think_format, marks, is_growing)
    if not answer:
        return Parts(thinking, "", False, thinking_end, len(text))
    start += behind
    spelled = thinking_end + len(think_format.end)
    if start < spelled and text.startswith(think_format.end, thinking_end):
        start = spelled  # the line break that the format itself writes
    return Parts(thinking, answer, is_complete, thinking_end, start)


def last_block(region: str, opening: str, closing: str) -> tuple[int, str, bool]:
    """(start, text, whether it is closed) of the last complete block that is not empty, else of an open one."""
    search_end = len(region)
    while (close := region.rfind(closing, 0, search_end)) >= 0:
        start = region.rfind(opening, 0, close)
        if start < 0:
            break
        begin = start + len(opening)
        if content := region[begin:close].split(closing)[0].strip():
            return begin, content, True
        search_end = start
    start = region.rfind(opening)
    if start < 0:
        return -1, "", False
    begin = start + len(opening)
    return begin, region[begin:].split(closing)[0].strip(), False


def _first_stretch(region: str, think_format: Delimiters, marks: "_Marks", is_growing: bool) -> tuple[int, str, bool]:
    """(start, text, whether it has ended) of the first stretch that is not empty."""
    opening, closing = think_format.answer_open, think_format.answer_close
    begin = 0
    if opening:
        first = region.find(opening)
        if first < 0:
            return -1, "", False
        begin = first + len(opening)
    while True:
        edge = marks.edge.search(region, begin) if marks.edge else None
        if edge is None:
            rest = region[begin:]
            answer = _without_half(rest, marks.in_answer).strip() if is_growing else rest.strip()
            return begin, answer, bool(answer) and not is_growing and not closing
        if answer := region[begin : edge.start()].strip():
            return begin, answer, not closing or edge.group() == closing
        if not opening or edge.group() != opening:
            return -1, "", False
        begin = edge.end()


@dataclass(frozen=True, slots=True)
class _Marks:
    """A think format's delimiters, compiled.

    heads: what may open a turn. ends: what ends the thinking. in_answer: what ends an answer's stretch or the turn.
    edge: the former of these as a pattern, or None. end_of_turn: ends of a turn that are no delimiters.
    """

    heads: tuple[str, ...]
    ends: tuple[str, ...]
    unopened: str
    opening: str
    dropped: re.Pattern[str]
    in_thinking: tuple[str, ...]
    in_answer: tuple[str, ...]
    edge: re.Pattern[str] | None
    end_of_turn: re.Pattern[str]

    def first_end(self, text: str, start: int, is_open: bool) -> re.Match[str] | None:
        """The first end of the thinking; the answer's opening is one where the thinking was never opened."""
        end = _any_of(self.ends).search(text, start)
        if is_open or not self.unopened:
            return end
        until = end.start() if end else len(text)
        answer = re.compile(re.escape(self.unopened)).search(text, start, until)
        if answer is None or (self.opening and text.find(self.opening, start, answer.start()) >= 0):
            return end
        return answer

    def cleaned(self, thinking: str, is_growing: bool) -> str:
        """`thinking` without openings and ends of a turn, and without a half delimiter at its end while it grows."""
        pieces, at = [], 0
        for match in self.dropped.finditer(thinking):
            pieces.append(thinking[at : match.start()])
            at = match.end()
        tail = thinking[at:]
        return "".join([*pieces, _without_half(tail, self.in_thinking) if is_growing else tail]).strip()


@lru_cache(maxsize=32)
def _marks(think_format: Delimiters) -> _Marks:
    f = think_format
    own = {f.open, f.answer_open, f.answer_close, *f.end_tokens}
    turn_ends = tuple(end for end in ENDS_OF_TURN if end not in own - set(f.end_tokens))
    dropped = tuple(mark for mark in (f.open, *turn_ends) if mark and mark not in f.end_tokens)
    edges = tuple(mark for mark in (f.open, f.answer_open, f.answer_close) if mark)
    return _Marks(
        heads=tuple(sorted({mark for mark in (f.open, f.prefill.strip()) if mark}, key=len, reverse=True)),
        ends=tuple(end for end in f.end_tokens if end),
        unopened="" if f.prefill else f.answer_open,
        opening=f.open,
        dropped=_any_of(dropped),
        in_thinking=(*dropped, *f.end_tokens, *([f.answer_open] if f.answer_open and not f.prefill else [])),
        in_answer=(*edges, *turn_ends),
        edge=_any_of(edges) if edges else None,
        end_of_turn=_any_of(turn_ends),
    )


@lru_cache(maxsize=64)
def _any_of(marks: tuple[str, ...]) -> re.Pattern[str]:
    """Matches any of the strings, the longest first."""
    return re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))))


def _without_half(text: str, marks: Sequence[str]) -> str:
    """`text` up to where it may be beginning one of `marks`."""
    half = max((n for mark in marks for n in range(1, len(mark)) if text.endswith(mark[:n])), default=0)
    return text[: len(text) - half]
