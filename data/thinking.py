"""Taking a reply that holds its own reasoning apart: thinking, and what comes after it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from data.think_format import DEEPSEEK, S1, XML

TAGS = (
    *((f.open, f.end_tokens[0]) for f in (DEEPSEEK, XML)),
    (S1.open, S1.end.strip()),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),  # Marco-o1
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # OpenThoughts, Sky-T1
    ("[THINK]", "[/THINK]"),  # Magistral
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("◁think▷", "◁/think▷"),  # Kimi
)
"""(opening, end) of the thinking; also `<Think>` and `<THINK>`."""
_SPELLINGS = tuple(
    dict.fromkeys(pair for o, e in TAGS for pair in ((o, e), (o.title(), e.title()), (o.upper(), e.upper())))
)

_ANSWER_TAGS = (
    (XML.answer_open, XML.answer_close),
    ("<output>", "</output>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
)
_FENCE = "```"
_QUOTES = "`'\"“”‘’"
_UNKNOWN = re.compile(r"\s*(?:<([a-z][\w:-]*)>|<\|(\w+)\|>|\[([A-Z_]+)\])", re.IGNORECASE)
_HTML = set("a b i p u s br code div em h1 h2 h3 h4 html li ol pre span strong sub sup table ul".split())  # noqa: SIM905
_ENOUGH_SHARE = 4  # a quarter of the replies


class MalformedThinking(ValueError):
    """Thinking whose delimiters can't be read in one way."""


class EndlessThinking(MalformedThinking):
    """Thinking that opens and never ends."""


def split_thinking(text: str) -> tuple[str, str]:
    """(thinking, reply) of an assistant's text; thinking is "" where there is none.

    Knows the delimiters of `TAGS`, but where they are quoted or stand in a code fence. An end without its opening ends
    thinking that a prompt opened; what stands before an opening is thinking too. Raises `MalformedThinking` for
    thinking that never ends, or opens again after its end.
    """
    found = _first(text)
    if found is None:
        return "", text.strip()
    thinking, reply = found
    if _first(reply, strict=False) is not None:
        raise MalformedThinking("thinking opens again after its end; join the two blocks into one")
    return thinking, _bare_answer(reply)


def _first(text: str, strict: bool = True) -> tuple[str, str] | None:
    """(thinking, rest) by the delimiters that come first; `strict`: an opening that never ends raises."""
    # 1. the earliest opening that has an end
    unclosed = ""
    pairs: list[tuple[int, int, int, int]] = []
    for opening, end in _SPELLINGS:
        for at in _unquoted(text, opening):
            if text[:at].count(_FENCE) % 2:
                continue
            ends = next(_unquoted(text, end, at + len(opening)), None)
            if ends is not None:
                pairs.append((at, at + len(opening), ends, ends + len(end)))
            elif not text[:at].rpartition("\n")[2].strip():  # in the middle of a line it is prose
                unclosed = unclosed or f"thinking opens with {opening!r} and never ends with {end!r}"
            break
    if pairs:
        at, begin, ends, after = min(pairs)
        return "\n".join(filter(None, (text[:at].strip(), text[begin:ends].strip()))), text[after:].strip()
    if unclosed and strict:
        raise EndlessThinking(unclosed)
    # 2. an end of thinking that the prompt opened
    ends_only = [(at, at + len(end)) for _, end in _SPELLINGS if (at := next(_unquoted(text, end), -1)) >= 0]
    if not ends_only or unclosed:
        return None
    at, after = min(ends_only)
    return text[:at].strip(), text[after:].strip()


def _unquoted(text: str, tag: str, start: int = 0) -> Iterator[int]:
    """Where `tag` stands in `text`, without a quotation mark on both sides."""
    at = text.find(tag, start)
    while at >= 0:
        before, after = text[max(at - 1, 0) : at], text[at + len(tag) : at + len(tag) + 1]
        if not (before and after and before in _QUOTES and after in _QUOTES):
            yield at
        at = text.find(tag, at + len(tag))


def _bare_answer(reply: str) -> str:
    """The reply without the tags around the whole of it. Raises `MalformedThinking` for text behind their end."""
    for opening, end in _ANSWER_TAGS:
        if not reply.lower().startswith(opening):
            continue
        inside = reply[len(opening) :]
        at = inside.lower().find(end)
        if at >= 0 and inside[at + len(end) :].strip():
            raise MalformedThinking(f"text after {end!r}; keep what the reply is to be")
        return inside[: at if at >= 0 else None].strip()
    return reply


def shared_unknown_tags(replies: Sequence[str]) -> tuple[str, str] | None:
    """(opening, end) that many replies without known thinking begin with, text after the end; None: no such pair."""
    found = Counter(pair for reply in replies if (pair := _unknown_tags(reply)))
    pair, count = found.most_common(1)[0] if found else (None, 0)
    return pair if count >= 2 and count * _ENOUGH_SHARE >= len(replies) else None


def _unknown_tags(reply: str) -> tuple[str, str] | None:
    match = _UNKNOWN.match(reply)
    if match is None or (match[1] or "").lower() in _HTML:
        return None
    opening, rest = match[0].strip(), reply[match.end() :]
    for end in _ends_of(*match.groups()):
        _, ended, after = rest.partition(end)
        if ended and after.strip():
            return opening, end
    return None


def _ends_of(angle: str | None, piped: str | None, square: str | None) -> list[str]:
    """How a tag of this name may be closed."""
    if angle:
        return [f"</{angle}>"]
    if square:
        return [f"[/{square}]"]
    name = str(piped)
    bare = re.sub("^(begin|start)(_of)?_|_(begin|start)$", "", name)
    swapped = re.sub("begin|start", "end", name)
    return [
        f"<|{end}|>" for end in (swapped, f"/{name}", f"end_{bare}", f"end_of_{bare}", f"{bare}_end") if end != name
    ]
