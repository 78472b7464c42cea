"""Whether two answers mean the same, by math-verify; runs in a grader process and nowhere else.

Answers are LaTeX to it, never Python: `parse_expr`, which evaluates its input, is not among the readers used here. The
time limit is the pool's, so math-verify's own (SIGALRM) is off.
"""

import logging
import re
from functools import lru_cache
from typing import Any

from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify

logging.getLogger("math_verify").setLevel(logging.CRITICAL)

_INNER_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")  # math-verify would read the innermost one alone
_LATEX = (
    LatexExtractionConfig(
        normalization_config=NormalizationConfig(
            basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="last"
        ),
        boxed_match_priority=0,
        try_extract_without_anchor=False,
    ),
)


def equivalent(gold: str, answer: str) -> tuple[bool | None, str]:
    """(verdict, reason). An answer that math-verify can't read is wrong; a gold answer that it can't read is none.

    Where math-verify itself fails, it has said nothing about the answer: None, and the error. Raises MemoryError and
    RecursionError.
    """
    wanted = _parsed_gold(gold)
    if not wanted:
        return None, "no gold answer"
    try:
        given = _parsed(answer)
        correct = bool(given) and verify(wanted, given, timeout_seconds=None, raise_on_error=True)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        return None, f"math-verify failed: {type(error).__name__}"
    return bool(correct), "math-verify"


@lru_cache(maxsize=512)
def _parsed_gold(gold: str) -> list[Any]:
    """The gold answer as SymPy objects; empty when it can't be read."""
    try:
        return _parsed(gold)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return []


@lru_cache(maxsize=512)  # parsing takes most of the time; one answer comes with several golds, and is one in places
def _parsed(answer: str) -> list[Any]:
    """math-verify's reading of one answer as a whole, without the string that it falls back on."""
    found = parse(
        "\\boxed{" + _INNER_BOX.sub("", answer) + "}",
        extraction_config=_LATEX,
        fallback_mode="no_fallback",
        parsing_timeout=None,
        raise_on_error=True,
    )
    return [expression for expression in found if not isinstance(expression, str)]
