"""Answer markers: `####`, `A:`, "the answer is", "答案是", "Ответ:", …, and the statement that follows one.

Every pass is linear in the length of the text.
"""

import re
from collections import deque
from dataclasses import dataclass

from rewards.grading.denial import denies_before
from rewards.grading.option_letter import letter_of
from rewards.grading.prose import SENTENCE_END, settled
from rewards.grading.statement import FORMULA, LONGEST, values_of

# What may follow each word that announces an answer; matched where the word was found.
_ANSWER = re.compile(
    r"answer\b[ \t*]*(?:[^.:：=\n]{0,50}?\b(?:is|are)\b|[:：=]|$)[ \t]*[:：]?", re.IGNORECASE | re.MULTILINE
)
_CHINESE_ANSWER = re.compile(r"答案[ \t]*(?:(?:应该|应)?(?:是|为|[:：])[:：]?|】)|答[:：]")
_ASCII_FOREIGN = ("respuesta", "resposta", "risposta", "antwort")
_FOREIGN_ANSWER = re.compile(
    rf"(?:\b(?:{'|'.join(_ASCII_FOREIGN)}|ответ|відповідь|réponse|lösung|đáp (?:án|số))|الجواب"
    r"|الإجابة|उत्तर"
    r"|정답|답|答え)(?:[^.:：=\n\d]{0,30}?(?:[:：=]|\b(?:là|es|est|ist|é|è|равен|равно)\b)|은|는|は"
    r"|[ \t]+هو|[ \t]+هي|[ \t]*(?=\d)|[ \t]+(?=\(?(?-i:[A-J])(?!\w|[ \t]+\w)))"
    r"[ \t*]*[:：]?",
    re.IGNORECASE,
)
_MOST_MARKERS = 200  # looked at from the end
_MOST_STATEMENTS = 8  # of markers, from the end, one of which may give a value
_LINE_START = re.compile(r"[ \t>*]*")
_ANSWER_WORD = re.compile(r"[Aa]nswer|ANSWER")
_ASCII_WORDS = ("answer", *_ASCII_FOREIGN)
"""One of them begins every marker of `_MARKERS` in a text of ASCII, in lower case."""
_MARKERS = ((_ANSWER_WORD, _ANSWER), (_CHINESE_ANSWER, _CHINESE_ANSWER), (_FOREIGN_ANSWER, _FOREIGN_ANSWER))
_ABOUT_THE_ANSWER = re.compile(
    r"\W*(?:(?:indeed|also|therefore|thus|now|the|a|very|definitely|absolutely|verified|to be)\s+)*"
    r"(?:correct|right|reasonable|consistent|verified|valid|confirmed|checked|complete|unique|wrong"
    r"|incorrect|false"
    r"|as follows|given|known|found|below|in the|what)\b",
    re.IGNORECASE,
)
_VALUE_LEAD = re.compile(
    r"[\W_]*(?:(?:not|about|approximately|exactly|just|only|therefore|thus"
    r"|[a-zA-Z] =)\W+)*"
)
_HEADING = re.compile(r"[\s#*>_]*(?:(?!is\b|not\b)[A-Za-z]+\s+){0,3}")
_EMPHASIS_END = re.compile(r"(?<=[^\s*])\*\*(?=[\s.,!])")
_PRICE = re.compile(r"-?[$€£¥]-?\d[\d,.]*(?:\s|$)(?![^$\n]*\$)")


@dataclass(frozen=True, slots=True)
class Marked:
    """What an answer marker announces: the statement behind it, and the answer that it gives (None: it gives none)."""

    statement: str
    answer: str | None

    @property
    def gives_value(self) -> bool:
        """Whether the statement starts with a value, an option's letter or their denial, not with words about it."""
        first = next(values_of(self.statement), None)
        if self.answer is None:
            return False
        lead = self.statement[: first.start] if first else self.statement
        return _VALUE_LEAD.fullmatch(lead) is not None or letter_of(self.statement) is not None


def last_marked(text: str) -> Marked | None:
    """The last answer marker that announces an answer, else the last one; None without a marker."""
    end, last = len(text), None
    for _ in range(_MOST_STATEMENTS):
        position = _last_marker_end(text[:end] if end < len(text) else text)
        if position < 0:
            break
        statement, behind = _statement_at(text, position)
        if statement and (statement[0].isdigit() or not _ABOUT_THE_ANSWER.match(statement)):
            answer = settled(statement, behind)
            is_denied = denies_before(_sentence_up_to(text, position))
            return Marked(statement, f"not {answer}" if is_denied else answer)
        last = last or (Marked(statement, None) if statement else None)
        end = max(position - 2, 0)
    return last


def _sentence_up_to(text: str, end: int) -> str:
    """The part of the sentence before `end`, its marker included."""
    return SENTENCE_END.split(text[max(0, end - LONGEST) : end].rpartition("\n")[2])[-1]


def _statement_at(text: str, start: int) -> tuple[str, str]:
    """(the statement that starts there, one sentence at most, of one line that is not empty; what stands behind it)."""
    rest = text[start:].lstrip(" \t*}").lstrip()
    formula = FORMULA.match(rest) if rest.startswith(("$", "\\")) else None
    skipped = formula.end() if formula and not _PRICE.match(rest) else 0
    line_end = rest.find("\n", skipped)
    line = rest if line_end < 0 else rest[:line_end]
    stop = SENTENCE_END.search(line, skipped)
    while stop and not line[: stop.start()].strip():
        stop = SENTENCE_END.search(line, stop.end())
    end = stop.start() if stop else len(line)
    return _without_half_emphasis(line[:end].strip()), rest[end : end + 2 * LONGEST]


def _without_half_emphasis(statement: str) -> str:
    """Without the end of an emphasis that began before the statement: `24** apples`."""
    return _EMPHASIS_END.sub("", statement, count=1) if statement.count("**") == 1 else statement


def _ends_a_sentence(text: str, marker: re.Match[str]) -> bool:
    """Whether "answer" ends a line that is no heading: "18 is not the answer"."""
    if not marker[0].casefold().strip(" \t*").endswith("answer"):
        return False
    return _HEADING.fullmatch(text[text.rfind("\n", 0, marker.start()) + 1 : marker.start()][-80:]) is None


def _last_marker_end(text: str) -> int:
    """Where the last marker ends; -1 without one. Searched from the end, so that a long text costs little."""
    found = text.rfind("####")
    best = found + 4 if found >= 0 else -1
    position = len(text)
    while (position := text.rfind("A:", best + 1, position)) >= 0:
        line_start = text.rfind("\n", 0, position) + 1
        first = text.find("A:", line_start)
        if _LINE_START.fullmatch(text, line_start, first):
            best = max(best, first + 2)
        position = line_start
    if text.isascii():
        lowered = text[max(best, 0) :].lower()
        if not any(map(lowered.__contains__, _ASCII_WORDS)):
            return best
    for word, pattern in _MARKERS:
        starts = deque((match.start() for match in word.finditer(text, max(best, 0))), maxlen=_MOST_MARKERS)
        for start in reversed(starts):
            match = pattern.match(text, start)
            if match and not _ends_a_sentence(text, match):
                best = max(best, match.end())
                break
    return best
