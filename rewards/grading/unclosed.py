"""Whether LaTeX leaves something open: a brace, a bracket of `\\left`, an environment; such a gold answer is cut."""

import re
from collections import Counter

_LATEX = re.compile(r"\\[A-Za-z]|[\^_]")
_BRACE = re.compile(r"\\[\\{}]|[{}]")
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([^{}]*)\}")
_PAIRED = re.compile(r"\\(left|right)(?![A-Za-z])")


def is_unclosed(latex: str) -> bool:
    """Whether a brace, a `\\left` or an environment is opened and not closed, or closed and not opened.

    Text without any LaTeX is never: it may hold brackets for reasons of its own.
    """
    return _LATEX.search(latex) is not None and (_braces(latex) or _environments(latex) or _pairs(latex))


def _braces(latex: str) -> bool:
    depth = 0
    for brace in _BRACE.findall(latex):
        depth += (brace == "{") - (brace == "}")
        if depth < 0:
            return True
    return depth != 0


def _environments(latex: str) -> bool:
    ends = Counter((name, kind) for kind, name in _ENVIRONMENT.findall(latex))
    return any(ends[name, "begin"] != ends[name, "end"] for name, _ in ends)


def _pairs(latex: str) -> bool:
    sides = Counter(_PAIRED.findall(latex))
    return sides["left"] != sides["right"]
