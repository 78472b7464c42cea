"""Why a shipped reward gave its score, in a few words for a person who debugs a recipe."""

from collections.abc import Callable

from data.think_format import delimiters
from rewards.grading.extract import extract, format_fault
from rewards.grading.grade import extracted_answer, grade_answers
from rewards.rollout import Rollout
from rewards.shipped import format as form
from rewards.shipped import style


def why(name: str, rollout: Rollout) -> str:
    """What the reward called `name` saw in this completion; "" for one that is not known here."""
    explain = _EXPLAIN.get(name)
    return explain(rollout) if explain else ""


def _verdict(rollout: Rollout) -> str:
    answer = extracted_answer(rollout.problem, rollout.text, rollout.think_format)
    [verdict] = grade_answers([rollout.problem], [answer])
    word = {True: "right", False: "wrong", None: "not judged"}[verdict.is_right]
    return f"{word} ({verdict.reason}): {_short(answer)}, {_golds(rollout)}"


def _answer(rollout: Rollout) -> str:
    return f"answer {_short(extract(rollout.text, rollout.think_format).answer)}"


def _reply(rollout: Rollout) -> str:
    reply = rollout.think_format.split(rollout.text).answer.strip() or None
    return f"reply {_short(reply)}, {_golds(rollout)}"


def _strict(rollout: Rollout) -> str:
    wrong = _format(rollout)
    if wrong != "well-formed" or form.has_format(rollout.text, rollout.think_format):
        return wrong
    return "line breaks are not the format's"


def _soft(rollout: Rollout) -> str:
    return form.rollout_fault(rollout) or "well-formed"


def _format(rollout: Rollout) -> str:
    return format_fault(rollout.text, rollout.think_format) or "well-formed"


def _tags(rollout: Rollout) -> str:
    tags = delimiters(rollout.think_format)
    counts = [f"{tag} {rollout.text.count(tag)}" for tag in tags]
    missing = rollout.think_format.prefill and rollout.think_format.open not in rollout.text
    return ", ".join(counts) + (" (prefilled)" if missing else "")


def _tokens(rollout: Rollout) -> str:
    return f"{rollout.completion_tokens} tokens"


def _verdict_and_tokens(rollout: Rollout) -> str:
    return f"{_verdict(rollout)}; {_tokens(rollout)}"


def _thinking_tokens(rollout: Rollout) -> str:
    return f"{rollout.thinking_tokens} thinking tokens"


def _verdict_and_budget(rollout: Rollout) -> str:
    limit = "" if rollout.max_thinking is None else f" of {rollout.max_thinking}"
    return f"{_verdict(rollout)}; {rollout.thinking_tokens}{limit} thinking tokens"


def _steps(rollout: Rollout) -> str:
    return f"{style.markers(rollout)} step markers"


def _words(rollout: Rollout) -> str:
    words = style.words(rollout.text)
    return f"{len(words)} words, {len(set(words))} different"


def _golds(rollout: Rollout) -> str:
    return "gold " + " or ".join(map(_short, rollout.problem.golds))


def _short(answer: str | None) -> str:
    return "no answer" if answer is None else repr(answer if len(answer) <= 40 else answer[:37] + "...")


_EXPLAIN: dict[str, Callable[[Rollout], str]] = {
    "correctness": _verdict,
    "exact": _verdict,
    "grade": _reply,
    "cosine": _verdict_and_tokens,
    "length": _verdict_and_tokens,
    "integer": _answer,
    "strict_format": _strict,
    "soft_format": _soft,
    "think_format": _format,
    "xmlcount": _tags,
    "tag_count": _tags,
    "reasoning_steps": _steps,
    "repetition": _words,
    "soft_overlong": _tokens,
    "budget": _thinking_tokens,
    "exact_length": _verdict_and_budget,
    "at_most_length": _verdict_and_budget,
    "adaptive_length": _verdict_and_budget,
}
