"""Answers in running text: what follows an answer marker, the one value of a sentence, the last value of a text.

Every pass is linear in the length of the text.
"""

import re
from collections import deque
from collections.abc import Iterator

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
# What may follow each word that announces an answer; matched where the word was found.
_ANSWER = re.compile(
    r"answer\b[ \t*]*(?:[^.:：=\n]{0,50}?\b(?:is|are)\b|[:：=]|$)[ \t]*[:：]?", re.IGNORECASE | re.MULTILINE
)
_CHINESE_ANSWER = re.compile(r"答案[ \t]*(?:应该|应)?(?:是|为|[:：])[:：]?")
_MOST_MARKERS = 200  # looked at from the end
_LINE_START = re.compile(r"[ \t>*]*")
_ANSWER_WORD = re.compile(r"[Aa]nswer|ANSWER")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|。|！|？")
_NUMBER = re.compile(r"(?<![A-Za-z])-?[$€£¥]?-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?%?")
_FORMULA = re.compile(
    r"\$\$([^$]{1,1000})\$\$|\\\[(.{1,1000}?)\\\]|\$((?:[^$\\\n]|\\.){1,500})\$|\\\(([^\n]{1,500}?)\\\)", re.DOTALL
)
_COPULA = re.compile(r"(?:\b(?:is|are|equals|be|was|of)|[=:])[\s$\\(]*$", re.IGNORECASE)
_VALUE_START = re.compile(r"\s*[-+$€£¥\\(\[{.\d]")
_CLEAN = re.compile(r"-?\w+(?:[.,/]\w+)*%?", re.ASCII)
_TRAILING = " \t\r\n*_`\"'“”.,;:?"
_LEADING = " \t\r\n*_`\"'“”"
_ELLIPSIS = re.compile(r",\s*\.\.\.\s*\$?\s*$")
_CHINESE_LEAD = re.compile(r"[\u4e00-\u9fff]+(?:是|为|等于)\s*(?=[-\\(\[$\d])")
_EXCLAMATION = re.compile(r"(?<=[a-z]{2})!$")
_WORD = re.compile(r"(?<![\\\w])[A-Za-z]{2,}|[\u4e00-\u9fff]")
_MATH_DELIMITERS = (("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]"), ("$", "$"))
_COMMAND = re.compile(r"\\begin\s*\{[^{}]*\}(?:\{[^{}]*\})?|\\[A-Za-z]+\s*\{[^{}]*\}")


def tidy(answer: str) -> str:
    """`answer` in half-width characters, without emphasis, math delimiters, and punctuation around it."""
    if _CLEAN.fullmatch(answer):
        return answer
    answer = answer.translate(_FULL_WIDTH).replace("。", ".").replace("、", ", ")
    answer = _ELLIPSIS.sub(r", \\ldots", answer)  # a list that goes on is not the list so far
    for _ in range(len(_MATH_DELIMITERS) + 1):
        before = answer
        answer = _EXCLAMATION.sub("", _stripped(answer))
        if answer.startswith(("$", "\\(", "\\[")):
            answer = _without_math_delimiters(answer)
        if answer == before:
            break
    return answer


def after_last_marker(text: str) -> str | None:
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


def from_prose(answer: str) -> str:
    """Of a sentence the only value in it, or the one that it ends with ("… is 18"); anything else as it is."""
    if _CLEAN.fullmatch(answer) or _plain_words(answer) < 3:
        return answer
    lead = _CHINESE_LEAD.match(answer)
    if lead and _plain_words(answer[lead.end() :]) < 3:
        return tidy(answer[lead.end() :])
    values = list(_values(answer))
    if len(values) == 1:
        return tidy(values[0][1])
    if values and _COPULA.search(answer[: values[-1][0]][-20:]) and _plain_words(answer[values[-1][0] :]) < 4:
        return tidy(values[-1][1])
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


def last_value(text: str) -> str | None:
    """The last formula or number of a text, tidied; the whole text where it is little more than one value."""
    lines = [line for line in text.splitlines() if line.strip()]
    words = _plain_words(text)
    if len(lines) == 1 and (words == 0 or (words < 3 and _VALUE_START.match(text))):
        return tidy(text) or None
    last = None
    for last in _values(text.translate(_FULL_WIDTH)):  # noqa: B007 # only the last one is wanted
        pass
    return tidy(last[1]) or None if last else None
