"""A completion's text → its thinking and its answer, also while it is still growing."""

from collections.abc import Sequence

from data.think import ThinkFormat


def divided(text: str, think: ThinkFormat, whole: bool) -> tuple[str, str]:
    """(thinking, answer) without the delimiters; unless `whole`, a tail that may be half a delimiter is left out."""
    if not think.prefill:
        if not whole and text != think.open and think.open.startswith(text):
            return "", ""
        text = text.removeprefix(think.open).removeprefix("\n")
    ends = [at for at in (text.find(end) for end in think.end_tokens) if at >= 0]
    if not ends:
        return (text if whole else _without_half(text, think.end_tokens)), ""
    thinking, rest = text[: min(ends)], text[min(ends) :]
    if not whole and rest != think.end and think.end.startswith(rest):
        return thinking, ""
    spelled = (think.end, think.end.rstrip(), *sorted(think.end_tokens, key=len, reverse=True))
    answer = rest.removeprefix(next(end for end in spelled if rest.startswith(end)))
    if think.answer_close:
        found, closed, _ = answer.partition(think.answer_close)
        answer = found if whole or closed else _without_half(answer, (think.answer_close,))
    return thinking, answer


def _without_half(text: str, marks: Sequence[str]) -> str:
    """`text` up to where it may be beginning one of `marks`."""
    half = max((n for mark in marks for n in range(1, len(mark)) if text.endswith(mark[:n])), default=0)
    return text[: len(text) - half]
