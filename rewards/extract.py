"""The only answer extractor: a completion → its thinking, its answer, and whether it is well-formed.

Policy, with a think format (`data.think.ThinkFormat`):

- The answer section is the last complete one that is not empty. With `answer_open` it runs from there to
  `answer_close`, or to the end of the turn where the format has none or the text was cut. Without `answer_open` it is
  what follows the last end of thinking. A text without an answer section has no answer: thinking is never searched.
- Inside the section the last closed, non-empty `\\boxed{}` wins (boxes joined by nothing but a comma, "and" or "or" are
  one list); else what follows the last marker (`####`, `A:`, "final answer is", "答案是"); else the whole section; and
  if what is left reads as a sentence with exactly one formula or exactly one number in it, then that.
- Well-formed: every delimiter once and in order, nothing but white space outside and between the parts, both parts
  non-empty. The opening may be missing where the prompt prefills it; the end of the turn is not part of the text.
  Several answer blocks, nested or repeated tags are never well-formed.

Policy for bare text (`think_format=None`): the last box, else the last marker, else the last number, else the last line
that is not empty. It is well-formed when a box or a marker gave the answer.

Every pass is linear in the length of the text.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from data.think import ThinkFormat

END_OF_TURN = re.compile(
    r"<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|end|return|end_of_turn)\|>|</s>|<eos>|<end_of_turn>"
    r"|<｜end▁of▁sentence｜>"
)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_BOX_OR_BRACE = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[^a-zA-Z]|[{}]")
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$]{1,40})")
_LIST_GLUE = re.compile(
    r"(?:[\s$~]|\\[()\[\];,]|\\q?quad)*(?:,|;|、)?(?:[\s$~]|\\q?quad)*(?:\\text\{)?\s*(?:and|or|和|或)?\s*\}?"
    r"(?:[\s$~]|\\[()\[\];,]|\\q?quad)*",
    re.IGNORECASE,
)
# What may follow each word that announces an answer; matched where the word was found.
_ANSWER = re.compile(
    r"answer\b[ \t*]*(?:[^.:：=\n]{0,50}?\b(?:is|are)\b|[:：=]|$)[ \t]*[:：]?", re.IGNORECASE | re.MULTILINE
)
_CHINESE_ANSWER = re.compile(r"答案[ \t]*(?:应该|应)?(?:是|为|[:：])[:：]?")
_MOST_MARKERS, _MOST_BOXES = 200, 50  # looked at from the end
_LINE_START = re.compile(r"[ \t>*]*")
_ANSWER_WORD = re.compile(r"[Aa]nswer|ANSWER")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|。|！|？")
_NUMBER = re.compile(r"-?[$€£¥]?-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?%?")
_FORMULA = re.compile(
    r"\$\$([^$]{1,1000})\$\$|\\\[(.{1,1000}?)\\\]|\$((?:[^$\\\n]|\\.){1,500})\$|\\\(([^\n]{1,500}?)\\\)", re.DOTALL
)
_COPULA = re.compile(r"(?:\b(?:is|are|equals|be|was|of)|[=:])[\s$\\(]*$", re.IGNORECASE)
_VALUE_START = re.compile(r"\s*[-+$€£¥\\(\[{.\d]")
_CLEAN = re.compile(r"-?\w+(?:[.,/]\w+)*%?", re.ASCII)
_TRAILING = " \t\r\n*_`\"'“”.,;:?"
_LEADING = " \t\r\n*_`\"'“”"
_EXCLAMATION = re.compile(r"(?<=[a-z]{2})!$")
_WORD = re.compile(r"(?<![\\\w])[A-Za-z]{2,}|[\u4e00-\u9fff]")
_MATH_DELIMITERS = (("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]"), ("$", "$"))
_COMMAND = re.compile(r"\\begin\s*\{[^{}]*\}(?:\{[^{}]*\})?|\\[A-Za-z]+\s*\{[^{}]*\}")


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


def delimiters(think_format: ThinkFormat) -> tuple[str, ...]:
    """The format's delimiters in the order of writing: opening, end of thinking, answer opening, answer closing."""
    thinking_end = _thinking_end(think_format)
    parts = (think_format.open, thinking_end, think_format.answer_open, think_format.answer_close)
    return tuple(part for part in parts if part)


def sections(text: str, think_format: ThinkFormat) -> tuple[str | None, str | None]:
    """(thinking, answer section) of a completion, stripped; None where a part is not there or is empty."""
    thinking_end, answer_open = _thinking_end(think_format), think_format.answer_open
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
    boxed = last_boxed(section)
    if boxed is not None:
        return tidy(boxed) or None
    marked = _after_last_marker(section)
    return _from_prose(tidy(section if marked is None else marked)) or None


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
    if "\n" not in gold and "####" not in gold and "\\boxed" not in gold:
        return gold
    answer, explicit = _bare_answer(gold)
    return answer if explicit and answer else gold


def last_boxed(text: str) -> str | None:
    """The content of the last closed, non-empty `\\boxed{}`; boxes joined by a comma, "and" or "or" are one list."""
    if "box" not in text:
        return None
    spans = _box_spans(text)
    if not spans:
        bare = _BARE_BOX.findall(text)
        return bare[-1] if bare else None
    start, _, content = spans[-1]
    contents = [content]
    for earlier_start, earlier_end, earlier in reversed(spans[-_MOST_BOXES:-1]):
        if earlier_start > start:  # inside the last box
            continue
        if earlier_end > start or not _LIST_GLUE.fullmatch(text[earlier_end:start][:40]) or start - earlier_end > 40:
            break
        contents.append(earlier)
        start = earlier_start
    return contents[0] if len(set(contents)) == 1 else ", ".join(reversed(contents))


def tidy(answer: str) -> str:
    """`answer` in half-width characters, without emphasis, math delimiters, and punctuation around it."""
    if _CLEAN.fullmatch(answer):
        return answer
    answer = answer.translate(_FULL_WIDTH).replace("。", ".").replace("、", ", ")
    for _ in range(len(_MATH_DELIMITERS) + 1):
        before = answer
        answer = _EXCLAMATION.sub("", _stripped(answer))
        if answer.startswith(("$", "\\(", "\\[")):
            answer = _without_math_delimiters(answer)
        if answer == before:
            break
    return answer


def _stripped(answer: str) -> str:
    """Without emphasis and punctuation at the ends; a LaTeX space (`\\,`) keeps its comma."""
    stripped = answer.lstrip(_LEADING).rstrip(_TRAILING)
    if stripped.endswith("\\") and not stripped.endswith("\\\\"):
        at = answer.rfind(stripped) + len(stripped)
        stripped += answer[at : at + 1]
    return stripped


def _without_math_delimiters(answer: str) -> str:
    """Without the one pair of math delimiters that encloses it all."""
    for left, right in _MATH_DELIMITERS:
        inner = answer[len(left) : -len(right)].replace("\\$", "")
        wrapped = answer.startswith(left) and answer.endswith(right) and len(answer) > len(left + right)
        if wrapped and left not in inner and right not in inner and not answer.endswith("\\$"):
            return answer[len(left) : -len(right)]
    return answer


def _thinking_end(think_format: ThinkFormat) -> str:
    """What ends the thinking when it is not the answer's opening itself ("" for s1)."""
    end = think_format.end.strip()
    if think_format.answer_open:
        return end.split(think_format.answer_open)[0].strip()
    tokens = [token for token in think_format.end_tokens if end.startswith(token)]
    return tokens[0] if tokens else end


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


def without_end_of_turn(text: str) -> str:
    """`text` without the tokens that end the turn at its end."""
    text = text.rstrip()
    while True:
        tail = text[-40:]
        found = [match for match in END_OF_TURN.finditer(tail) if match.end() == len(tail)]
        if not found:
            return text
        text = text[: len(text) - len(found[-1].group())].rstrip()


def _box_spans(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every closed, non-empty box, in the order in which they close."""
    spans: list[tuple[int, int, str]] = []
    stack: list[tuple[int, int] | None] = []  # (start of \boxed, start of its content); None for a plain brace
    for match in _BOX_OR_BRACE.finditer(text):
        token = match.group()
        if token == "{":
            stack.append(None)
        elif token == "}" and stack:
            opened = stack.pop()
            if opened and (content := text[opened[1] : match.start()].strip()):
                spans.append((opened[0], match.end(), content))
        elif token.endswith("{") and token != "\\{":
            stack.append((match.start(), match.end()))
    return spans


def _after_last_marker(text: str) -> str | None:
    """What follows the last answer marker on its line (or on the next one that is not empty), one sentence at most."""
    end = _last_marker_end(text)
    if end < 0:
        return None
    rest = text[end:].lstrip(" \t*").lstrip()
    formula = _FORMULA.match(rest)
    if formula and not _NUMBER.match(rest):
        return _inside(formula)
    line = rest.split("\n", 1)[0].strip()
    stop = _SENTENCE_END.search(line)
    return (line[: stop.start()] if stop and line[: stop.start()].strip() else line) or None


def _last_marker_end(text: str) -> int:
    """Where the last marker ends; -1 without one. Searched from the end, so that a long text costs little."""
    found = text.rfind("####")
    best = found + 4 if found >= 0 else -1
    position = len(text)
    while (position := text.rfind("A:", 0, position)) > best:
        line_start = text.rfind("\n", 0, position) + 1
        first = text.find("A:", line_start)
        if _LINE_START.fullmatch(text, line_start, first):
            best = max(best, first + 2)
        position = line_start
    for word, pattern in ((_ANSWER_WORD, _ANSWER), (_CHINESE_ANSWER, _CHINESE_ANSWER)):
        starts = deque((match.start() for match in word.finditer(text, max(best, 0))), maxlen=_MOST_MARKERS)
        for start in reversed(starts):
            match = pattern.match(text, start)
            if match:
                best = max(best, match.end())
                break
    return best


def _from_prose(answer: str) -> str:
    """Of a sentence the only value in it, or the one that it ends with ("… is 18"); anything else as it is."""
    if _CLEAN.fullmatch(answer) or _plain_words(answer) < 3:
        return answer
    values = list(_values(answer))
    if len(values) == 1:
        return tidy(values[0][1])
    if values and _COPULA.search(answer[: values[-1][0]][-20:]) and _plain_words(answer[values[-1][0] :]) < 4:
        return tidy(values[-1][1])
    return answer


def _bare_answer(text: str) -> tuple[str | None, bool]:
    """(answer, whether a box or a marker gave it) of a text without sections."""
    boxed = last_boxed(text)
    if boxed is not None:
        return tidy(boxed) or None, True
    marked = _after_last_marker(text)
    if marked is not None and (answer := tidy(marked)):
        return _from_prose(answer), True
    lines = [line for line in text.splitlines() if line.strip()]
    words = _plain_words(text)
    if len(lines) == 1 and (words == 0 or (words < 3 and _VALUE_START.match(text))):
        return tidy(text) or None, False
    last = None
    for last in _values(text.translate(_FULL_WIDTH)):  # noqa: B007 # only the last one is wanted
        pass
    if last is not None:
        return tidy(last[1]) or None, False
    return (tidy(lines[-1]) or None if lines else None), False


def _values(text: str) -> Iterator[tuple[int, str]]:
    """(position, value) of every formula, and of every number outside the formulas, in order."""
    at = 0
    for formula in _FORMULA.finditer(text):
        content = _inside(formula)
        if formula.start() < at or _plain_words(content):
            continue  # "$5 and $": two prices
        yield from ((number.start(), number.group()) for number in _NUMBER.finditer(text, at, formula.start()))
        yield formula.start(), content
        at = formula.end()
    yield from ((number.start(), number.group()) for number in _NUMBER.finditer(text, at))


def _inside(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None)


def _plain_words(text: str) -> int:
    """How many words (Chinese: characters) `text` has outside of LaTeX commands; 2,000 characters will do to tell."""
    return len(_WORD.findall(_COMMAND.sub(" ", text[:2000])))
