"""What a judge is asked, and what its text says: a score from 1 to 10, or which of two replies is better.

Source: Zheng et al. 2023 (arXiv 2306.05685): single-answer grading and pairwise comparison, the latter in both orders.
"""

import json
import re
from collections.abc import Sequence
from typing import Literal

LOWEST, HIGHEST = 1, 10
Side = Literal["first", "second", "tie"]
_SCORE = re.compile(
    r"""["']score["']\s*:\s*["']?(\d+(?:\.\d+)?)["']?\s*[,}/]"""
    r"""|(?:score|rating|评分|得分)\s*[:：]\s*(\d+(?:\.\d+)?)(?![\d.])|\[\[(\d+(?:\.\d+)?)\]\]""",
    re.IGNORECASE,
)
"""As JSON, beside other keys too, and as small judges write it; [[7]] is MT-bench's."""
_BETTER = re.compile(r'"better"\s*:\s*"(A|B|tie)"\s*[,}]|\[\[(A|B|C)\]\]')
_SIDES: dict[str, Side] = {"A": "first", "B": "second", "tie": "tie", "C": "tie"}


def score_prompt(rubric: str, question: str, golds: Sequence[str], reply: str) -> str:
    """The judge's question about one reply."""
    return (
        f"Judge the reply to a question.\n\n{rubric}\n\n{_parts(question, golds)}{_part('reply', reply)}"
        f'Say in a sentence or two what is good and bad about it. Then end with {{"score": N}}, where N is a whole '
        f"number from {LOWEST} (useless) to {HIGHEST} (nothing is missing)."
    )


def pair_prompt(rubric: str, question: str, golds: Sequence[str], first: str, second: str) -> str:
    """The judge's question about two replies, called A and B."""
    return (
        f"Judge which of two replies to a question is better.\n\n{rubric}\n\n{_parts(question, golds)}"
        f"{_part('reply_a', first)}{_part('reply_b', second)}"
        "The order in which they stand means nothing. Say in a sentence or two how they differ. Then end with "
        '{"better": "A"}, {"better": "B"} or {"better": "tie"}.'
    )


def score_of(judgement: str) -> float | None:
    """The last score that the judgement gives, from 0 (lowest) to 1; None where it gives none."""
    found = _SCORE.findall(_said(judgement))
    if not found:
        return None
    value = float(next(filter(None, found[-1])))
    return (value - LOWEST) / (HIGHEST - LOWEST) if LOWEST <= value <= HIGHEST else None


def better_of(judgement: str) -> Side | None:
    """Which reply the judgement takes in the end; None where it says nothing."""
    found = _BETTER.findall(_said(judgement))
    return _SIDES[found[-1][0] or found[-1][1]] if found else None


def _said(judgement: str) -> str:
    """What comes after the judge's thinking; nothing where that was cut."""
    before, _, after = judgement.rpartition("</think>")
    return "" if "<think>" in after and not before else after


def _parts(question: str, golds: Sequence[str]) -> str:
    """The question, and each gold answer that there is."""
    return "".join([_part("question", question), *(_part("reference_answer", gold) for gold in golds if gold.strip())])


def _part(name: str, text: str) -> str:
    """A text between tags, as a JSON string: nothing in it ends it, whatever a reply says."""
    return f"<{name}>\n{json.dumps(text, ensure_ascii=False)}\n</{name}>\n\n"
