"""The only answer extractor: a completion → its thinking, its answer, and whether it is well-formed.

Policy, with a think format (`data.think_format.ThinkFormat`):

- Thinking and answer section are those of `ThinkFormat.split` (`data.turn_reader` has its policy): what is graded is
  what is served. A text without an answer section has no answer: thinking is never searched.
- Inside the section, the last `<answer>` block and the answer of a JSON reply are opened first. Then the last closed,
  non-empty `\\boxed{}` wins (boxes joined by a comma, "and", "or" or the labels of parts are one list), unless a later
  marker (`####`, `A:`, "final answer is", "答案是") gives a value; else what follows the last marker; else the section.
- A sentence gives what it affirms (`rewards.grading.statement`): "18, since 3·6 = 18" is 18; "17 or 18" stays both,
  "18 is wrong" is "not 18", and a sentence of which no value is clear stays whole.
- Well-formed: every delimiter once and in order, nothing but white space outside and between the parts, both parts
  non-empty. The opening may be missing where the prompt prefills it; the end of the turn is not part of the text.
  Several answer blocks, nested or repeated tags are never well-formed.

Policy for bare text (`think_format=None`): the same, and where the last sentence leaves it unclear without weighing
several values, the last formula or number, else the last line that is not empty. It is well-formed when a box or a
marker gave the answer.

Every pass is linear in the length of the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from data.boxed import last_box
from data.think_format import ThinkFormat, delimiters, without_end_of_turn
from data.turn_reader import END_OF_TURN, last_block, without_any_end_of_turn
from rewards.grading.answer_marker import last_marked
from rewards.grading.denial import denies_after, denies_before, offers_another, retracts
from rewards.grading.json_reply import json_answer
from rewards.grading.prose import SENTENCE_END, first_sentence, last_value, plain_characters, tidy, unmarked
from rewards.grading.statement import LONGEST, plain_words, read_statement, values_of

_OTHER_ANSWER = re.compile(r"\W{0,3}(?:or|或者?)(?!\w|\s+equivalently)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Extracted:
    """The parts of one completion; None where a part is not there."""

    thinking: str | None
    answer: str | None
    well_formed: bool


def extract(text: str, think_format: ThinkFormat | None = None) -> Extracted:
    """Take `text` (a completion with special tokens and the prefilled part, without the prompt) apart."""
    if think_format is None:
        answer, explicit = _bare_answer(without_any_end_of_turn(text))
        return Extracted(None, (answer or "").strip() or None, explicit)
    parts = think_format.split(text)
    answer = section_answer(parts.answer) if parts.answer else None
    return Extracted(parts.thinking or None, answer, is_well_formed(text, think_format))


def section_answer(section: str) -> str | None:
    """The answer inside an answer section (see the policy above), tidied; None when nothing is left."""
    section = _opened(section)
    marked = _marked_answer(section)
    return (marked if marked is not None else unmarked(section)[0]) or None


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


@lru_cache(maxsize=4096)  # a group of completions, and each epoch, asks for the same one again
def gold_answer(gold: str) -> str:
    """The clean answer of a gold `Problem.answer`, or of a whole solution that marks its own (`#### 18`, a box)."""
    if "\n" in gold or "####" in gold or "\\boxed" in gold:
        answer, explicit = _bare_answer(gold)
        return answer if explicit and answer else gold
    if gold.isalnum() or "\\text" in gold:
        return gold
    marked = last_marked(gold)
    if marked is not None and marked.answer and marked.gives_value:
        return marked.answer
    answer = tidy(gold)
    said = read_statement(answer) if plain_words(answer) > 2 and answer[:1] in "$0123456789" else None
    return said.answer if said is not None and said.answer and not said.is_open else gold


def written_once(text: str, think_format: ThinkFormat) -> list[bool]:
    """For each delimiter, whether `text` has it exactly once; one that the prompt prefills may be missing."""
    prefilled = think_format.open if think_format.prefill else None
    counts = [(tag, text.count(tag)) for tag in delimiters(think_format)]
    return [count == 1 or (tag == prefilled and not count) for tag, count in counts]


def _bare_answer(text: str) -> tuple[str | None, bool]:
    """(answer, whether a box or a marker gave it) of a text without sections."""
    text = _opened(text)
    marked = _marked_answer(text)
    if marked:
        return marked, True
    answer, is_clear = unmarked(text)
    if is_clear and answer:
        return answer, False
    value = last_value(text)
    if value is not None:
        return value, False
    lines = [line for line in text.splitlines() if line.strip()]
    return (tidy(lines[-1]) or None if lines else None), False


def _opened(text: str) -> str:
    """What is to be searched: the last `<answer>` block where there is one, the answer of a JSON reply."""
    text = plain_characters(text)
    if "<answer>" in text:
        text = last_block(text, "<answer>", "</answer>")[1] or text
    reply = json_answer(text)
    return text if reply is None else reply


def _marked_answer(text: str) -> str | None:
    """The answer that a box or a marker gives; a box's, where no later marker gives a value."""
    box = last_box(text)
    marked = last_marked(text if box is None else text[box.end :])
    if box is None or (marked is not None and marked.gives_value):
        return marked.answer if marked else None
    content = tidy(box.content)
    lead = SENTENCE_END.split(text[: box.start].rpartition("\n")[2][-LONGEST:])[-1]
    tail = text[box.end : box.end + LONGEST].lstrip(" \t$*)")
    behind = first_sentence(tail)
    if denies_before(lead) or denies_after(behind) or retracts(behind):
        return f"not {content}"
    sentence = behind if offers_another(behind) else ""
    if (joined := _OTHER_ANSWER.match(tail)) is not None:
        sentence = tail[joined.end() :][:80].lstrip().split("\n", 1)[0]
    other = next(values_of(sentence), None) if sentence else None
    return content if other is None else f"{content} or {other.text}"
