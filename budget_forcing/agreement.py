"""When two answers to one question are the same for a rule that has no grader: it decides while the model thinks."""

from data.boxed import last_boxed


def answer_key(answer: str) -> str | None:
    """What has to be equal: what is boxed, or the text without spaces, case and a full stop at its end; None: nothing.

    `1,000` and `1000` are one answer.
    """
    boxed = last_boxed(answer)
    text = "".join((answer if boxed is None else boxed).split()).casefold().rstrip(".。").replace(",", "")
    return text or None
