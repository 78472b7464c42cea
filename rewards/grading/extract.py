"""The only answer extractor: a completion → its thinking, its answer, and whether it is well-formed.

Policy, with a think format (`data.think_format.ThinkFormat`):

- The answer section is the last complete one that is not empty. With `answer_open` it runs from there to
  `answer_close`, or to the end of the turn where the format has none or the text was cut. Without `answer_open` it is
  what follows the last end of thinking. A text without an answer section has no answer: thinking is never searched.
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
from dataclasses import dataclass

from data.boxed import last_box
from data.think_format import END_OF_TURN, ThinkFormat, delimiters, thinking_end_of, without_end_of_turn
from rewards.grading.answer_marker import last_marked
from rewards.grading.denial import denies_after, denies_before, retracts
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
        answer, explicit = _bare_answer(END_OF_TURN.sub("", text))
        return Extracted(None, (answer or "").strip() or None, explicit)
    thinking, section = sections(text, think_format)
    answer = None if section is None else section_answer(section)
    return Extracted(thinking, answer, is_well_formed(text, think_format))


def sections(text: str, think_format: ThinkFormat) -> tuple[str | None, str | None]:
    """(thinking, answer section) of a completion, stripped; None where a part is not there or is empty."""
    thinking_end, answer_open = thinking_end_of(think_format), think_format.answer_open
    start = text.find(think_format.open)
    start = start + len(think_format.open) if start >= 0 else 0
    ends = [position for mark in (thinking_end, answer_open) if mark and (position := text.find(mark, start)) >= 0]
    thinking = END_OF_TURN.sub("", text[start : min(ends, default=len(text))])
    thinking = thinking.replace(think_format.open, "").strip()
    if not ends:
        return thinking or None, None
    if answer_open and think_format.answer_close:
        section = _last_block(text, answer_open, think_format.answer_close)
    else:
        section = _last_tail(text, answer_open or thinking_end, think_format.open)
    return thinking or None, section


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
    parts = delimiters(think_format)
    if think_format.prefill and think_format.open not in text:
        text = think_format.open + text
    for part in parts:
        if (count := text.count(part)) != 1:
            return f"{part} {count} times" if count else f"no {part}"
    positions = [text.find(part) for part in parts]
    if positions != sorted(positions):
        return "delimiters out of order"
    gaps = [text[: positions[0]]]
    for part, position, following in zip(parts, positions, [*positions[1:], len(text)], strict=True):
        gaps.append(text[position + len(part) : following])
    gaps[-1] = without_end_of_turn(gaps[-1])
    thinking, answer = gaps.pop(1), gaps.pop(-2 if think_format.answer_close else -1)
    if not thinking.strip() or not answer.strip():
        return "empty answer" if thinking.strip() else "empty thinking"
    return "text outside the delimiters" if any(gap.strip() for gap in gaps) else None


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


def _last_block(text: str, opening: str, closing: str) -> str | None:
    """The last non-empty block between `opening` and `closing`; else what follows the last opening."""
    search_end = len(text)
    while (close := text.rfind(closing, 0, search_end)) >= 0:
        start = text.rfind(opening, 0, close)
        if start < 0:
            break
        content = text[start + len(opening) : close].split(closing)[0].strip()
        if content:
            return content
        search_end = start
    start = text.rfind(opening)
    if start < 0:
        return None
    return _until_end_of_turn(text[start + len(opening) :].split(closing)[0]).strip() or None


def _last_tail(text: str, boundary: str, reopening: str) -> str | None:
    """The last non-empty stretch after `boundary`, up to the end of the turn or a reopened thinking."""
    for stretch in reversed(text.split(boundary)[1:]):
        section = _until_end_of_turn(stretch).split(reopening)[0].strip()
        if section:
            return section
    return None


def _until_end_of_turn(text: str) -> str:
    found = END_OF_TURN.search(text)
    return text[: found.start()] if found else text


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
        text = _last_block(text, "<answer>", "</answer>") or text
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
    if denies_before(lead) or denies_after(first_sentence(tail)) or retracts(first_sentence(tail)):
        return f"not {content}"
    other = next(values_of(tail[:80].split("\n", 1)[0]), None) if _OTHER_ANSWER.match(tail) else None
    return content if other is None else f"{content} or {other.text}"
