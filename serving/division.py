"""A completion's text → its thinking and its answer, also while it is still growing."""

from collections.abc import Sequence

from data.think_format import ThinkFormat


def divided(text: str, think: ThinkFormat, whole: bool) -> tuple[str, str]:
    """(thinking, answer) without the delimiters; unless `whole`, a tail that may be half a delimiter is left out."""
    if not think.prefill:
        opened = _after(think.open, text, whole)
        if opened is None:
            return "", ""
        text = opened
    ends = [at for at in (text.find(end) for end in think.end_tokens) if at >= 0]
    if not ends:
        return (text if whole else _without_half(text, think.end_tokens)), ""
    thinking, rest = text[: min(ends)], text[min(ends) :]
    if not whole and rest != think.end and think.end.startswith(rest):
        return thinking, ""
    spelled = (think.end, think.end.rstrip(), *sorted(think.end_tokens, key=len, reverse=True))
    end = next(end for end in spelled if rest.startswith(end))
    answer = rest.removeprefix(end)
    if think.answer_open not in end:  # the model's own spacing, or it did not open the answer
        opened = _after(think.answer_open, answer, whole)
        if opened is None:
            return thinking, ""
        answer = opened
    if think.answer_close:
        found, closed, _ = answer.partition(think.answer_close)
        answer = found if whole or closed else _without_half(answer, (think.answer_close,))
    return thinking, answer


def _after(mark: str, text: str, whole: bool) -> str | None:
    """`text` without `mark` at its start, white space around it; None while that may still be coming."""
    bare = text.lstrip()
    if not whole and bare != mark and mark.startswith(bare):
        return None
    return bare.removeprefix(mark).removeprefix("\n") if bare.startswith(mark) else text


def _without_half(text: str, marks: Sequence[str]) -> str:
    """`text` up to where it may be beginning one of `marks`."""
    half = max((n for mark in marks for n in range(1, len(mark)) if text.endswith(mark[:n])), default=0)
    return text[: len(text) - half]
