"""Symptoms of reward hacking and collapse: each function picks the rows of a batch of rollouts that show one."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from data.problem import ONE_SPELLING
from data.think_format import delimiters
from rewards.composition import Scores
from rewards.grading.extract import extract
from rewards.rollout import Rollout
from rewards.shipped.style import words

_NGRAM, _DEGENERATE_WORDS, _DISTINCT = 4, 40, 0.5  # fewer distinct n-grams than that in as many words: a loop
_QUOTE = 40  # characters of the question that an answer repeats


def empty_answers(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows that ended by themselves without an answer."""
    return [
        row
        for row, rollout in enumerate(rollouts)
        if not rollout.truncated and not extract(rollout.text, rollout.think_format).answer
    ]


def repeated_texts(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows whose whole text another row of the same problem has too, where a right one can be written in many ways: not
    where it is one text without thinking, as a label is."""
    counts = Counter((rollout.problem.id, rollout.text) for rollout in rollouts)
    return [
        row
        for row, rollout in enumerate(rollouts)
        if counts[rollout.problem.id, rollout.text] > 1
        and (rollout.think_format.has_thinking or rollout.problem.grader not in ONE_SPELLING)
    ]


def degenerate(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows that go round in circles: long texts with few distinct n-grams of words."""
    return [row for row, rollout in enumerate(rollouts) if _loops(words(rollout.text))]


def several_blocks(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows with more than one answer block."""
    return [
        row
        for row, rollout in enumerate(rollouts)
        if any(rollout.text.count(mark) > 1 for mark in delimiters(rollout.think_format)[1:])
    ]


def echoes(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows whose answer repeats a stretch of the question."""
    return [
        row
        for row, rollout in enumerate(rollouts)
        if _repeats(extract(rollout.text, rollout.think_format).answer or "", rollout.problem.question)
    ]


def without_score(scores: Scores) -> list[int]:
    """Rows with a None in any column."""
    return [row for row, values in enumerate(zip(*scores.values(), strict=True)) if None in values]


def zero_variance(rollouts: Sequence[Rollout], totals: Sequence[float | None]) -> tuple[float, list[int]]:
    """(share of groups, rows of them) in which all completions of a problem have one total; single rows don't count."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, rollout in enumerate(rollouts):
        groups[rollout.problem.id].append(row)
    compared = [rows for rows in groups.values() if len(rows) > 1]
    zero_variance_groups = [rows for rows in compared if len({totals[row] for row in rows}) == 1]
    return (len(zero_variance_groups) / len(compared) if compared else 0.0), [
        row for rows in zero_variance_groups for row in rows
    ]


def truncated(rollouts: Sequence[Rollout]) -> list[int]:
    """Rows that ran into the length limit."""
    return [row for row, rollout in enumerate(rollouts) if rollout.truncated]


def _loops(text: list[str]) -> bool:
    if len(text) < _DEGENERATE_WORDS:
        return False
    ngrams = list(zip(*(text[start:] for start in range(_NGRAM)), strict=False))
    return len(set(ngrams)) < _DISTINCT * len(ngrams)


def _repeats(answer: str, question: str) -> bool:
    """Whether `answer` holds any stretch of `_QUOTE` characters of `question`."""
    answer, question = " ".join(answer.lower().split()), " ".join(question.lower().split())
    if len(answer) < _QUOTE or len(question) < _QUOTE:
        return False
    return any(question[start : start + _QUOTE] in answer for start in range(0, len(question) - _QUOTE + 1, 5))
