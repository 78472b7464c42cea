"""What a rule that stops thinking looks at: it decides while the model thinks, and has no grader."""

from collections.abc import Sequence
from statistics import fmean

from data.boxed import last_boxed


def answer_key(answer: str) -> str | None:
    """What has to be equal of two answers to one question; None where there is nothing.

    What is boxed, or the text, without spaces, case and a full stop at its end.
    `1,000` and `1000` are one answer.
    """
    boxed = last_boxed(answer)
    text = "".join((answer if boxed is None else boxed).split()).casefold().rstrip(".。").replace(",", "")
    return text or None


def mean_logprob(logprobs: Sequence[float], forced: Sequence[bool]) -> float | None:
    """Of an answer's tokens that the policy chose; None where there are none.

    To four places: the last bits depend on the batch, and must not break ties.
    """
    chosen = [logprob for logprob, its in zip(logprobs, forced, strict=True) if not its]
    return round(fmean(chosen), 4) if chosen else None
