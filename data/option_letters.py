"""Options of a multiple-choice question that bring their own letters: "A. Paris", "(B) Rome"."""

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

_LETTERED = re.compile(r"\s*(?:\(([A-Z])\)|([A-Z])\s*[.:、．)])\s*(.*\S)\s*", re.DOTALL)


def without_own_letters(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The row's columns, where each text in `choices` or `options` brings its letter as label → text."""
    return {key: _by_letter(value) if key in ("choices", "options") else value for key, value in fields.items()}


def _by_letter(options: object) -> dict[str, str] | object:
    """Letter → text if all options bring the letter of their place; else the options as they are."""
    if not isinstance(options, list) or not options or not all(isinstance(text, str) for text in options):
        return options
    matches = [_LETTERED.fullmatch(text) for text in options]
    found = {match[1] or match[2]: match[3] for match in matches if match}
    return found if list(found) == list(ascii_uppercase[: len(options)]) else options


def gold_letter(gold: str, fields: Mapping[str, Any]) -> str:
    """The letter of a gold answer that is spelled as one of the options with its letter; else the gold."""
    for key in ("choices", "options"):
        options = fields.get(key)
        labels = _by_letter(options)
        if isinstance(labels, dict) and isinstance(options, list) and gold in options:
            return str(list(labels)[options.index(gold)])
    return gold
