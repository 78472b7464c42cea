"""Multiple choice: options from a row's columns into the question, and the option that an answer names."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from string import ascii_uppercase
from typing import Any

from configs.errors import DataError
from data.problem import Problem

LETTERING = re.compile(r"\\(?:text|math)(?:bf|it|rm|sf)?\s*\{([^{}]*)\}")
LATEX_SPACE = re.compile(r"\\[ ,;:!]|~")


def options(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Label → text of a row's options; empty where it has none.

    Read from a column `choices` or `options` (a list of texts, a list of {label or id, text}, a mapping of label to
    text, or ARC's {"label": [...], "text": [...]}), or from columns A, B, C, …. What has no label gets a letter by its
    position. Raises `KeyError` for an option of such a list that has no text.
    """
    found = metadata.get("choices") or metadata.get("options")
    if isinstance(found, Mapping) and {"label", "text"} <= found.keys():
        return {str(label): str(text) for label, text in zip(found["label"], found["text"], strict=True)}
    if isinstance(found, Mapping):
        return {str(label): str(text) for label, text in found.items()}
    if isinstance(found, list) and all(isinstance(one, Mapping) for one in found):
        return {_label(one, at): str(one["text"]) for at, one in enumerate(found)}
    if isinstance(found, list):
        return {_label({}, at): str(text) for at, text in enumerate(found)}
    columns = [letter for letter in ascii_uppercase if metadata.get(letter) not in (None, "")]
    return {letter: str(metadata[letter]) for letter in columns} if columns[:2] == ["A", "B"] else {}


def _label(option: Mapping[str, Any], at: int) -> str:
    given = (option.get("label"), option.get("id"), ascii_uppercase[at] if at < len(ascii_uppercase) else at + 1)
    return str(next(label for label in given if label is not None))


def pose(problem: Problem) -> Problem:
    """The problem with its options in the question and a label as its answer; unchanged without options.

    The gold answer may be a label, an option's text, or a number from 0 on. Raises `DataError` where it is none of
    them, or could be read in two ways.
    """
    try:
        choices = options(problem.metadata)
    except KeyError as error:
        raise DataError(f"{problem.source}: problem {problem.id}: an option has no {error}; give each one") from None
    if not choices:
        return problem
    gold = problem.answer.strip()
    readings = {label for label, text in choices.items() if text.strip() == gold}
    if gold in choices:
        readings.add(gold)
    elif gold.isdecimal() and int(gold) < len(choices):
        readings.add(list(choices)[int(gold)])
    if len(readings) != 1:
        how = "can be read as each of " + ", ".join(sorted(readings)) if readings else "names none of the options"
        raise DataError(f"{problem.source}: problem {problem.id}: answer {gold!r} {how}; write the option's label")
    listed = "\n".join(f"{label}) {text}" for label, text in choices.items())
    return replace(problem, question=f"{problem.question}\n\n{listed}", answer=readings.pop())


def chosen(answer: str, choices: Mapping[str, str]) -> str | None:
    """The label that an extracted answer names, by itself ("B", "(b)", "B) 12") or by its text; None: no option."""
    text = plain(answer)
    for labels in ({label: label for label in choices}, choices):  # one option's text may be another one's label
        for label, spelled in labels.items():
            if text.casefold() == plain(spelled).casefold():
                return label
    named = naming(choices).fullmatch(text)
    return {label.casefold(): label for label in choices}.get(named[1].casefold()) if named else None


def plain(text: str) -> str:
    """Without the LaTeX that only sets letters and spaces: `\\textbf{(B)}\\ 12` is "(B) 12"."""
    return LATEX_SPACE.sub(" ", LETTERING.sub(r"\1", text)).strip()


def naming(labels: Iterable[str]) -> re.Pattern[str]:
    """What names one of these labels: bare, in brackets, or before its option's text; "3.5" does not name option 3."""
    either = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    before_text = r"(?:[)、]|(?<!\d)[.:．]|[.:．](?!\d))\s*.+"
    return re.compile(
        rf"(?:option|choice|选项)?\s*[(\[（]?({either})[)\]）]?(?:[.:、．)]?|{before_text})", re.IGNORECASE
    )
