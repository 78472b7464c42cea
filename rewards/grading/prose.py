"""Answers in running text: an answer without what surrounds it, what the last sentence says, the last value of a text.

Every pass is linear in the length of the text.
"""

import re

from rewards.grading.denial import corrects, denies_after, denies_before, offers_another, retracts
from rewards.grading.option_letter import chosen_letter, split_letter, without_setting
from rewards.grading.statement import LONGEST, plain_words, read_statement, values_of

_DIGIT_ZEROS = (  # Arabic, Persian, Devanagari, Bengali, …: ten digits each
    *(0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0, 0xF20, 0x1040, 0x17E0),
)
_PLAIN: dict[int, str | int] = {0x3000: 0x20, 0x66B: ".", 0x66C: ","}  # the Arabic decimal point and comma
_PLAIN |= {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_PLAIN |= {zero + digit: str(digit) for zero in _DIGIT_ZEROS for digit in range(10)}
_NOT_PLAIN = re.compile(f"[{''.join(map(chr, _PLAIN))}]")
SENTENCE_END = re.compile(r"[.!?](?=\s|$|[*\"”')])|[。！？।]")
_LONGEST_TIDIED = 100_000  # characters; no longer answer is the equivalent of any
_MOST_SENTENCES = 3  # at the end of a text without a marker
_NOTHING = re.compile(r"(?:there (?:is|are)|it has|it is|we have)\s+(?=no\b)", re.IGNORECASE)
_LED = re.compile(
    r"(?:(?:(?:so|thus|hence|therefore|then|it['’]s|maybe|perhaps|possibly|probably|i (?:think|guess)"
    r"|(?:i|we) (?:got|get|have)"
    r"|there (?:is|are|were|will be)|(?:he|she|it|they|we|you) (?:(?:will|must|should|can) )?"
    r"(?:has|have|had|is|was|needs?|makes?|made|earn(?:s|ed)?|gets?|got|pays?|paid|costs?|takes?|took|spends?"
    r"|spent|saves?"
    r"|saved|sells?|sold|buys?|bought|eats?|ate|travels?|runs?|reads?|walks?|drives?|uses?|used|bakes?|baked)"
    r"|[a-z] (?:is|equals)"
    r"|il y a|hay|há|ci sono|es sind|er zijn|jest|(?:\w+ ){1,3}(?:är|é|adalah|jest)"
    r"|got|result|solution|total|sum|final|value|is|are|equals)\b|(?!not|wrong|incorrect"
    r"|false)[^\W\d_]{2,}(?:\s[^\W\d_]+){0,2}:(?=\s))"
    r"\W*){1,6}(?=[-+$\\\d(\[])",  # bounded: "a é a é …" can be cut into leads in exponentially many ways
    re.IGNORECASE,
)
_CONFIRMED = re.compile(  # what may follow a value that it confirms
    r"not \S+,? but \S+|\S+(?:\s*[-–—,]\s*the (?:final )?answer|\s+is (?:correct|right)|, not [-$\d\\]\S*"
    r"|\s+(?:instead of|rather than) \S+|\s+of (?:them|these|those))",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?:(?:so|thus|therefore|hence),? )?(?:it|(?:the|his|her) [a-z]+(?: [a-z]+)?) (?:is|was) ([A-Z][A-Za-z]+)"
)
_OTHER_SCRIPT = re.compile(r"[\uac00-\ud7af]|[\u0080-\u00ff\u0100-\u2fff\u3040-\u30ff\ua000-\ud7af]{2}|[\u1e00-\u1eff]")
_CLEAN = re.compile(r"-?(?!_)\w+(?:[.,/]\w+)*(?<!_)%?", re.ASCII)
_TRAILING = " \t\r\n*_`\"'“”.,;:?।"
_LEADING = " \t\r\n*_`\"'“”"
_ELLIPSIS = re.compile(r",\s*+\.\.\.\s*+(?:\$\s*+)?$")
_CHINESE_LEAD = re.compile(r"[\u4e00-\u9fff]*(?:是|为|等于|共)\s*(?=[-\\(\[$\d])")
_EXCLAMATION = re.compile(r"(?<=[a-z]{2})!$")
_VALUE_START = re.compile(r"\s*[-+$€£¥\\(\[{.\d]")
_MATH_DELIMITERS = (("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]"), ("$", "$"))
_NUMBER = r"[-+−]?[$€£¥]?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?"
_NOUN_IN_BRACKETS = re.compile(rf"({_NUMBER})\s*[(（]\s*([A-Za-z]{{3,20}}(?: [A-Za-z]{{2,20}}){{0,3}})\s*[)）]")
_REASON_BEHIND = re.compile(
    r"(?=[,;，；(（\s])(?:"  # what all of it begins with
    r"(?:[,;，；]\s*|\s+)(?:\b(?:since|because|as we|as required|as desired|i\.e\."
    r"|due to|which|that is|namely|given)(?![A-Za-z])|因为|由于)"
    r"|\s*[(（]\s*(?:since|because|not|as|i\.e\.|that is|from|by|because|由于|因为)\b)"
)
_CHEER = re.compile("[\u2705\u2714\u2728\ufe0f\U0001f389\U0001f38a\U0001f3af\U0001f44d\U0001f4a1\U0001f600-\U0001f64f]")
# Matched from where the white space before it begins, not from each of its lines: blank lines would cost their square.
_STEP_NUMBER = re.compile(r"(\A|(?<=\S)[^\S\n]*+\n)\s*+\d{1,2}[.)]\s++(?=[A-Z][a-z])")
_HTML = re.compile(r"</?(?:b|i|u|em|strong|span)>")
_BOLD = re.compile(r"(?<![\w)*])\*\*(\S[^*\n]{0,200})\*\*(?![\w(*])")
_ABOUT = re.compile(r"approx(?:imately)?|about|exact(?:ly)?|in total|total|rounded", re.IGNORECASE)
_NOT_A_NOUN = re.compile(
    r"(?:mod|if|since|because|not|approximately|approx|about|sin|cos|tan|log|exp)\b", re.IGNORECASE
)
_COMPUTATION = re.compile(r"[-+*/×÷·^().,\d\s$€£¥%]*\d[-+*/×÷·^().,\d\s$%]*=\s*[-$€£¥]*[\d.,/]+%?\s*")
_SENTENCE_BEHIND = re.compile(rf"({_NUMBER}|\$[^$\n]{{1,200}}\$)[.。]\s+[A-Z\u4e00-\u9fff]")
_TEXT_OF_DENIAL = re.compile(
    r"\\(?:text|mbox|textrm|textbf)\s*\{([^{}]*\b(?:not|wrong|incorrect|false"
    r"|never|otherwise|ruled out|excluded|eliminated|(?:or|and) (?:more|less|fewer|above|below|up|so)|than"
    r"|roots?)\b[^{}]*)\}",
    re.IGNORECASE,
)
_DOUBLED = re.compile(r"(?<!\\)\\{2,}+(?=[A-Za-z(\[])")
_SINGLE = re.compile(r"(?<!\\)\\[A-Za-z(\[]")


def plain_characters(text: str) -> str:
    """`text` with half-width characters and the digits of one script; commands that are escaped twice, once."""
    if not text.isascii():
        if _NOT_PLAIN.search(text):
            text = text.translate(_PLAIN)
        text = _CHEER.sub("", text)
    if "</" in text:
        text = _HTML.sub("", text)
    if "\\\\" in text and _DOUBLED.search(text) and not _SINGLE.search(text) and "\\begin" not in text:
        text = text.replace("\\\\", "\\")
    return text


def tidy(answer: str) -> str:
    """`answer` in half-width characters, without emphasis, math delimiters, and what only surrounds the value."""
    if len(answer) > _LONGEST_TIDIED:
        return answer.strip()
    if _CLEAN.fullmatch(answer):
        return answer
    answer = plain_characters(answer).replace("。", ".").replace("、", ", ")
    if "..." in answer:
        answer = _ELLIPSIS.sub(r", \\ldots", answer)  # a list that goes on is not the list so far
    if answer.count("**") > 1:
        answer = _BOLD.sub(r"\1", answer)
    for _ in range(len(_MATH_DELIMITERS) + 1):
        before = answer
        answer = _stripped(answer)
        if "!" in answer:
            answer = _EXCLAMATION.sub("", answer)
        if answer.startswith(("$", "\\(", "\\[")):
            answer = _without_math_delimiters(answer)
        if answer == before:
            break
    return without_setting(_without_surroundings(answer)) if len(answer) <= LONGEST else answer


def settled(statement: str, behind: str = "") -> str:
    """The answer of a statement, tidied; "not 5" where the sentence `behind` it takes it back."""
    answer = from_prose(tidy(statement))
    sentence = first_sentence(behind)
    if not sentence:
        return answer
    other = next(values_of(sentence), None) if answer and offers_another(sentence) else None
    if other is not None:
        return f"{answer} or {other.text}"
    if not answer or not (retracts(sentence) or corrects(sentence)):
        return answer
    corrected = read_statement(sentence)
    if corrected.answer and not corrected.is_open:
        return tidy(corrected.answer)
    return f"not {answer}" if retracts(sentence) else answer


def from_prose(answer: str) -> str:
    """Of a sentence what it affirms (see `statement`); anything else, and what stays unclear, as it is."""
    if _CLEAN.fullmatch(answer):
        return answer
    words = plain_words(answer)
    if not words:
        return _last_computation(answer)
    lead = _CHINESE_LEAD.match(answer)
    if lead and not denies_before(lead[0]) and plain_words(answer[lead.end() :]) < 3:
        return tidy(answer[lead.end() :])
    letter = chosen_letter(answer)
    if letter:
        return letter
    named = _NAMED.fullmatch(answer[:1].lower() + answer[1:])
    if named:
        return named[1]
    answer = _NOTHING.sub("", answer)
    said = read_statement(answer)
    if said.answer is None or (words < 3 and not said.is_open and not _is_led(answer)):
        return answer
    return tidy(said.answer) or answer


def unmarked(text: str) -> tuple[str, bool]:
    """(answer, whether it is clear) of a text without a box or marker.

    All of a text that is bare, else what its last sentence with a value or a letter says; where that isn't clear the
    whole text.
    """
    if len(_STEP_NUMBER.findall(text)) > 1:
        text = _STEP_NUMBER.sub(r"\1", text)
    whole = tidy(text)
    if not plain_words(text) or not plain_words(whole) or split_letter(whole):
        return _last_computation(whole), True
    sentences = _last_sentences(text)
    # 1. the last sentence that says something, unless it only takes back the one before
    said = next((at for at in range(len(sentences) - 1, -1, -1) if _says_something(sentences[at])), None)
    if said is None or (said == 0 and len(sentences) == 1):
        answer = from_prose(whole)
        return answer, answer != whole or read_statement(whole).is_open
    sentence, behind = sentences[said], " ".join(sentences[said + 1 :])
    # 2. values on lines of their own are a list
    if said and not plain_words(sentence) and not plain_words(sentences[said - 1]):
        return whole, True
    statement = read_statement(sentence)
    if said + 1 < len(sentences) and retracts(behind):
        return settled(sentence, behind), True
    if statement.answer is not None:
        return tidy(statement.answer) or whole, True
    return whole, statement.is_open


def last_value(text: str) -> str | None:
    """The last formula or number of a text, tidied; the whole text where it is little more than one value."""
    lines = [line for line in text.splitlines() if line.strip()]
    words = plain_words(text)
    if len(lines) == 1 and (words == 0 or (words < 3 and _VALUE_START.match(text))):
        return tidy(text) or None
    last = None
    for last in values_of(plain_characters(text)):  # noqa: B007 # only the last one is wanted
        pass
    return tidy(last.text) or None if last else None


def first_sentence(text: str) -> str:
    """The first sentence of what follows an answer."""
    text = text[:LONGEST].lstrip(" \t\r\n.!?*$)]}。\"'”")
    stop = SENTENCE_END.search(text)
    return text[: stop.start()] if stop else text.split("\n", 1)[0]


def _last_sentences(text: str) -> list[str]:
    """The sentences of the last lines that are not empty, three of them at most."""
    sentences: list[str] = []
    for line in reversed(text.rstrip().rsplit("\n", 12)[-12:]):
        pieces = [piece.strip(" \t*_") for piece in SENTENCE_END.split(line[-LONGEST:])]
        sentences = [piece for piece in pieces if piece] + sentences
        if len(sentences) >= _MOST_SENTENCES:
            break
    return sentences[-_MOST_SENTENCES:]


def _says_something(sentence: str) -> bool:
    return next(values_of(sentence), None) is not None or read_statement(sentence).answer is not None


def _is_led(answer: str) -> bool:
    """Whether the few words of an answer lead to its value, confirm it, or are in another script ("18입니다")."""
    if _LED.match(answer) or _CONFIRMED.fullmatch(answer):
        return True
    return _OTHER_SCRIPT.search(answer) is not None


def _last_computation(answer: str) -> str:
    """The last of several computations ("16 - 7 = 9, 9 * 2 = 18"); anything else as it is."""
    parts = re.split(r"[,;\n](?!\d{3}(?!\d))", answer) if "=" in answer and len(answer) <= LONGEST else []
    parts = [part for part in parts if part.strip()]
    if len(parts) > 1 and all(_COMPUTATION.fullmatch(part) for part in parts):
        return parts[-1].strip()
    return answer


def _without_surroundings(answer: str) -> str:
    """Without a reason or a second sentence behind the value; a noun in brackets is a unit."""
    if "\\" in answer:
        answer = _TEXT_OF_DENIAL.sub(lambda match: f" {match[1]} ", answer).strip()
    noun = _NOUN_IN_BRACKETS.fullmatch(answer) if answer.endswith((")", "）")) else None
    if noun and denies_after(noun[2]):
        return f"not {noun[1]}"
    if noun and _ABOUT.fullmatch(noun[2]):
        return noun[1]
    if noun and not _NOT_A_NOUN.match(noun[2]):
        return f"{noun[1]} \\text{{ {noun[2]}}}"
    sentence = _SENTENCE_BEHIND.match(answer) if "." in answer or "。" in answer else None
    if sentence and not retracts(answer[sentence.end() - 1 :]):
        return _stripped(sentence[1])
    reason = _REASON_BEHIND.search(answer) if _VALUE_START.match(answer) else None
    if reason and not plain_words(answer[: reason.start()]):
        return _stripped(answer[: reason.start()])
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
