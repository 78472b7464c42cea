"""The only answer extractor: a completion → its thinking, its answer, and whether it is well-formed.

Policy, with a think format (`data.think_format.ThinkFormat`):

- Thinking and answer section are those of `ThinkFormat.split` (`data.turn_reader` has its policy): what is graded is
  what is served. A text without an answer section has no answer: thinking is never searched.
- Inside the section the last closed, non-empty `\\boxed{}` wins (boxes joined by nothing but a comma, "and" or "or" are
  one list); else what follows the last marker (`####`, `A:`, "final answer is", "答案是"); else the whole section; and
  if what is left reads as a sentence, then the only formula or number in it, or the one that it ends with.
- Well-formed: every delimiter once and in order, nothing but white space outside and between the parts, both parts
  non-empty. The opening may be missing where the prompt prefills it; the end of the turn is not part of the text.
  Several answer blocks, nested or repeated tags are never well-formed.

Policy for bare text (`think_format=None`): the last box, else the last marker, else the whole text where it is little
more than one value, else the last formula or number, else the last line that is not empty. It is well-formed when a box
or a marker gave the answer.

Every pass is linear in the length of the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from data.boxed import last_boxed
from data.think_format import END_OF_TURN, ThinkFormat, delimiters, without_end_of_turn
from rewards.grading.prose import after_last_marker, from_prose, last_value, tidy


@dataclass(frozen=True, slots=True)
class Extracted:
    """The parts of one completion; None where a part is not there."""

    thinking: str | None
    answer: str | None
    well_formed: bool


def extract(text: str, think_format: ThinkFormat | None = None) -> Extracted:
    """Take `text` (a completion with special tokens and the prefilled part, without the prompt) apart."""
    if think_format is None:
        answer, explicit = _bare_answer(END_OF_TURN.sub("", text))
        return Extracted(None, (answer or "").strip() or None, explicit)
    parts = think_format.split(text)
    answer = section_answer(parts.answer) if parts.answer else None
    return Extracted(parts.thinking or None, answer, is_well_formed(text, think_format))


def section_answer(section: str) -> str | None:
    """The answer inside an answer section (see the policy above), tidied; None when nothing is left."""
    boxed = last_boxed(section)
    if boxed is not None:
        return tidy(boxed) or None
    marked = after_last_marker(section)
    return from_prose(tidy(section if marked is None else marked)) or None


def is_well_formed(text: str, think_format: ThinkFormat) -> bool:
    """Whether `text` has every delimiter once, in order, with two non-empty parts and nothing around them."""
    return format_fault(text, think_format) is None


def format_fault(text: str, think_format: ThinkFormat) -> str | None:
    """What keeps a completion from being well-formed, for a person to read; None when nothing does."""
    # 1. every delimiter once, in order
    tags = delimiters(think_format)
    if think_format.prefill and think_format.open not in text:
        text = think_format.open + text
    for tag in tags:
        if (count := text.count(tag)) != 1:
            return f"{tag} {count} times" if count else f"no {tag}"
    places = [text.find(tag) for tag in tags]
    if places != sorted(places):
        return "delimiters out of order"
    # 2. both parts there
    parts = think_format.split(text)
    if not parts.thinking and think_format.has_thinking:
        return "empty thinking"
    if not parts.answer:
        return "empty answer"
    # 3. nothing around them
    gaps = _gaps(text, tags, places)
    answer = gaps.pop(-2 if think_format.answer_close else -1)
    if END_OF_TURN.search(answer):
        return "text after the end of the turn"
    if think_format.has_thinking:
        gaps.pop(1)
    return "text outside the delimiters" if any(gap.strip() for gap in gaps) else None


def _gaps(text: str, tags: Sequence[str], places: Sequence[int]) -> list[str]:
    """The text before, between and behind the delimiters, without the end of the turn."""
    begins = [0, *(place + len(tag) for place, tag in zip(places, tags, strict=True))]
    gaps = [text[begin:end] for begin, end in zip(begins, [*places, len(text)], strict=True)]
    return [*gaps[:-1], without_end_of_turn(gaps[-1])]


def gold_answer(gold: str) -> str:
    """The clean answer of a gold `Problem.answer`, or of a whole solution that marks its own (`#### 18`, a box)."""
    if "\n" not in gold and "####" not in gold and "\\boxed" not in gold:
        return gold
    answer, explicit = _bare_answer(gold)
    return answer if explicit and answer else gold


def written_once(text: str, think_format: ThinkFormat) -> list[bool]:
    """For each delimiter, whether `text` has it exactly once; one that the prompt prefills may be missing."""
    prefilled = think_format.open if think_format.prefill else None
    counts = [(tag, text.count(tag)) for tag in delimiters(think_format)]
    return [count == 1 or (tag == prefilled and not count) for tag, count in counts]


def _bare_answer(text: str) -> tuple[str | None, bool]:
    """(answer, whether a box or a marker gave it) of a text without sections."""
    boxed = last_boxed(text)
    if boxed is not None:
        return tidy(boxed) or None, True
    marked = after_last_marker(text)
    if marked is not None and (answer := tidy(marked)):
        return from_prose(answer), True
    value = last_value(text)
    if value is not None:
        return value, False
    lines = [line for line in text.splitlines() if line.strip()]
    return (tidy(lines[-1]) or None if lines else None), False
