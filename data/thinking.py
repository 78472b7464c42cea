"""Taking a reply that holds its own reasoning apart: thinking, and what comes after it."""

from data.think_format import DEEPSEEK, S1, XML

MARCO = ("<Thought>", ("</Thought>",), "<Output>", "</Output>")
"""Marco-o1's tags: opening, endings, opening and closing of the answer."""

_TAGS = (
    MARCO,
    *(
        (f.open, f.end_tokens if f is not S1 else (f.end.strip(),), f.answer_open, f.answer_close)
        for f in (DEEPSEEK, XML, S1)
    ),
)


class EndlessThinking(ValueError):
    """Thinking that opens and never ends."""


def split_thinking(text: str) -> tuple[str, str]:
    """(thinking, reply) of an assistant's text; thinking is "" where there is none.

    Knows `<think>`, `<Thought>`, `<reasoning>` and s1's markers; a `</think>` without its opening ends thinking that a
    prompt opened. Raises `EndlessThinking`.
    """
    for opening, endings, answer_open, answer_close in _TAGS:
        _, opened, body = text.partition(opening)
        ends = [(body if opened else text).find(ending) for ending in endings]
        at = max(ends)
        if opened and at < 0:
            raise EndlessThinking(f"thinking opens with {opening!r} and never ends with {endings[0]!r}")
        if at < 0:
            continue
        inside = body if opened else text
        reply = inside[at:].removeprefix(endings[0]).strip()
        reply = reply.removeprefix(answer_open).removesuffix(answer_close).strip() if answer_open else reply
        return inside[:at].strip(), reply
    return "", text.strip()
