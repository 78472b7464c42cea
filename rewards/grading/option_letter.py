"""Letters of options: with their values ("(C) 18"), chosen in a sentence ("故选B"), or denied in one ("B is wrong")."""

import re

_LONGEST = 1000  # characters of an answer that is looked at
_MENTION_OF_LETTER = re.compile(r"[A-J](?<![A-Za-z].)(?![A-Za-z])")  # the letter first: `re` skips to one
_LETTER = r"(?:[(（\[]\s*([A-J])\s*[)）\]]|([A-J])(?![A-Za-z'’]))"
_NOUN = (
    r"(?:the\s+)?(?:correct\s+|right\s+)?(?:option|choice|answer|letter)\s*(?:is\s*)?[:：]?\s*|选项?|故选"
    r"|应选|答案?选?[:：]?\s*"
)
_SET_LETTER = re.compile(  # \textbf{(C)}~18, \text{(C) }18, \text{C}
    r"\\(?:text|math)(?:bf|it|rm|sf)?\s*\{\s*(\(?[A-J]\)?[.:)]?)\s*\}(?:\s|~|\\[ ,;:!]|\\q?quad\b)*"
)
_SET_WHOLE = re.compile(r"\\(?:text|math)(?:bf|it|rm|sf)?\s*\{\s*((?:\([A-J]\)|[A-J][).:])[^{}]*)\}")
_WITH_VALUE = re.compile(
    rf"(?:{_NOUN})?(?:[(（\[]\s*([A-J])\s*[)）\]]\s*[.:：、]?|([A-J])\s*(?:[)）.、](?!\d)|[:：]\s))\s*(\S.*)",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"(?:{_NOUN})?{_LETTER}\s*(?:です|입니다|이다|है)?\s*[.)。]?", re.IGNORECASE)
_AFFIRMED = re.compile(
    rf"(?i:{_NOUN})?{_LETTER}\s+(?:is|are)\s+(?:the\s+)?(?:correct|right|true"
    rf"|answer)\b.*",
    re.DOTALL,
)
_CHOSEN = re.compile(
    rf"(?:(?:故|应|因此|所以|本题|答案|(?<!错误)(?<!错误的)(?<!不正确的)选项)\s*(?:应|答案)?[选為为是]"
    r"|\b(?:must|should|has to|will) be\b"
    rf"|^选(?:择|项)?|\b(?:choose|pick|select|option"
    rf"|choice)\b)[:：]?"
    rf"\s*{_LETTER}\s*(?:项|選項|选项)?(?:正确|对)?\s*[.。]?\s*$"
)
_MENTION = re.compile(rf"(?<![\w\\$'’]){_LETTER}(?!\s*[=+^_])")
_ARTICLE = re.compile(r"\s+(?!is\b|are\b|was\b|and\b|or\b|but\b|nor\b|because\b|since\b|as\b)[a-z]")
_LETTERS = re.compile(r"[A-J](?:\s*[.;]\s*[A-J])+[.;]?")
_CAPITAL, _SMALL = re.compile(r"[A-J]"), re.compile(r"\([a-j]\)")
_RUN = re.compile(r"[A-F]{2,6}")
_GLUE = r"\s*(?:,\s*and\b|[,;、和&]|\band\b)\s*"
_LETTERS_GLUE, _LETTER_LIST = re.compile(_GLUE), re.compile(rf"[A-F](?:{_GLUE}[A-F])+")
_LETTERS_MARK = re.compile(r"\s*[.;]\s*")
_ANOTHER = re.compile(r"(?<!\w)(?:\([A-J]\)|[A-J][).:])")


def letter_of(answer: str) -> str | None:
    """The letter of an answer that is no more than one: `C`, `(c)`, `\\text{(C)}`, "Choice C"."""
    found = _ALONE.fullmatch(_typeset(answer).strip())
    return (found[1] or found[2]).upper() if found else None


def without_setting(answer: str) -> str:
    """`\\textbf{(C)}~18`, "option (C): 18" and `\\text{A) 18}` as "(C) 18"; "Choice C" as "C"; else as it is."""
    if len(answer) > _LONGEST or _MENTION_OF_LETTER.search(answer) is None:
        return answer
    if _LETTERS.fullmatch(answer):
        return ", ".join(_LETTERS_MARK.split(answer.rstrip(".;")))
    text = _typeset(answer)
    found = _WITH_VALUE.fullmatch(text)
    if found and (found[1] or found[2]).isupper():
        return f"({found[1] or found[2]}) {found[3]}"
    alone = _ALONE.fullmatch(text)
    if alone and (len(text) > 4 or not text.isascii()) and (alone[1] or alone[2]).isupper():
        return alone[1] or alone[2]
    return answer


def clean_pair(gold: str, answer: str) -> tuple[str, str]:
    """Gold and answer about one thing: where one is a letter with its value and the other is not, that part of it."""
    if gold.upper() == gold.lower() and answer.upper() == answer.lower():  # no letters in either
        return gold, answer
    letters = _letters(gold) if len(gold) > 1 else None
    if letters is not None and _letters(answer) == letters:
        return letters, letters
    if _CAPITAL.fullmatch(gold) and _SMALL.fullmatch(answer):
        return gold, answer[1].upper()
    wanted, given = split_letter(gold), split_letter(answer)
    if wanted and given:
        return (wanted[0], given[0]) if wanted[0] != given[0] else (wanted[1], given[1])
    if given and letter_of(gold) is None:
        return gold, given[1]
    if wanted:
        letter = letter_of(answer)
        return (wanted[0], letter) if letter else (wanted[1], answer)
    return gold, answer


def _letters(answer: str) -> str | None:
    """The letters of several options in order: `AC` of "AC", "A, C" and "C and A"; None for anything else."""
    if _RUN.fullmatch(answer):
        return answer if list(answer) == sorted(set(answer)) else None
    return "".join(sorted(set(_LETTERS_GLUE.split(answer)))) if _LETTER_LIST.fullmatch(answer) else None


def split_letter(answer: str) -> tuple[str, str] | None:
    """(letter, value) of "(C) 18"; None for anything else, a second letter included."""
    found = _WITH_VALUE.fullmatch(without_setting(answer)) if len(answer) <= _LONGEST else None
    if not found or not (found[1] or found[2]).isupper() or _ANOTHER.search(found[3]):
        return None
    return found[1] or found[2], found[3]


def mentioned(sentence: str) -> list[tuple[int, int, str]]:
    """(start, end, letter) of every option that a sentence names; the article "A" and the pronoun "I" are none."""
    found = []
    for match in _MENTION.finditer(sentence):
        letter = match[1] or match[2]
        if match[2] and (letter == "I" or (letter == "A" and _ARTICLE.match(sentence, match.end()))):
            continue
        found.append((match.start(), match.end(), letter))
    return found


def chosen_letter(sentence: str) -> str | None:
    """The letter that a sentence ends with choosing ("…，故选B"), or that it calls right; None without one."""
    found = _CHOSEN.search(sentence[-40:]) or _AFFIRMED.fullmatch(sentence)
    return (found[1] or found[2]) if found else None


def _typeset(answer: str) -> str:
    """Without the LaTeX that sets the letter, or the letter and its value."""
    whole = _SET_WHOLE.fullmatch(answer)
    return whole[1] if whole else _SET_LETTER.sub(r"\1 ", answer, count=1).strip()
