"""Multiple choice: the options in a row's columns, and a question that lists them."""

from collections.abc import Mapping
from dataclasses import replace
from string import ascii_uppercase
from typing import Any

from data.problem import Problem, Trace
from data.row import BadRow


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
    """The problem with its options in the question, a label as its answer, and `choice` as its grader.

    Unchanged without options. The gold answer may be a label, an option's text, or a number from 0 on; a label that
    the row itself gives its option (label → text) is nothing else. Raises `BadRow` where it is none of them, or could
    be read in two ways, and for an option without a text.
    """
    try:
        choices = options(problem.metadata)
    except KeyError as error:
        raise BadRow(f"an option has no {error}; give each one") from None
    except ValueError:
        raise BadRow("its options have more labels than texts, or fewer; give each option one of both") from None
    if not choices:
        return problem
    gold = problem.answer.strip()
    readings = {label for label, text in choices.items() if text.strip() == gold}
    if gold in choices:
        readings = {gold} if _gives_labels(problem.metadata) else {gold, *readings}
    elif gold.isdecimal() and int(gold) < len(choices):
        readings.add(list(choices)[int(gold)])
    if len(readings) != 1:
        how = "can be read as each of " + ", ".join(sorted(readings)) if readings else "names none of the options"
        raise BadRow(f"answer {gold!r} {how}; write the option's label")
    grader = "choice" if problem.grader == "math" else problem.grader
    return replace(problem, question=problem.question + _listed(choices), answer=readings.pop(), grader=grader)


def _gives_labels(metadata: Mapping[str, Any]) -> bool:
    """Whether the labels are the row's own, not made from places."""
    return isinstance(metadata.get("choices") or metadata.get("options"), Mapping)


def stem(problem: Problem | Trace) -> str:
    """The question without the options that `pose` has put behind it."""
    if problem.grader == "math":
        return problem.question
    return problem.question.removesuffix(_listed(options(problem.metadata)))


def _listed(choices: Mapping[str, str]) -> str:
    return "\n\n" + "\n".join(f"{label}) {text}" for label, text in choices.items())
