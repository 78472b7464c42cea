"""`choice`: which option an answer names, by its label or by its text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from string import ascii_uppercase

from data.options import options
from data.problem import Problem
from rewards.grading.verdict import Verdict

LETTERING = re.compile(r"\\(?:text|math)(?:bf|it|rm|sf)?\s*\{([^{}]*)\}")
LATEX_SPACE = re.compile(r"\\[ ,;:!]|~")
_LETTERS = {letter: letter for letter in ascii_uppercase}


def grade_choice(problems: Sequence[Problem], answers: Sequence[str | None], _seconds: float = 0.0) -> list[Verdict]:
    """Whether each answer names the option whose label is the gold answer.

    Options that are known from the question's text alone have the letters A to Z as labels.
    """
    return [_verdict(problem, answer) for problem, answer in zip(problems, answers, strict=True)]


def _verdict(problem: Problem, answer: str | None) -> Verdict:
    choices = options(problem.metadata) or _LETTERS
    gold = chosen(problem.answer, choices)
    if gold is None:
        return Verdict(None, "gold answer names no option")
    label = chosen(answer or "", choices)
    return Verdict(float(label == gold), f"option {label}" if label else "no option")


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
