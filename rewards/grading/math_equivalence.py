"""The grader: is this answer equivalent to the gold one? True, False, or None for "could not be judged".

Most pairs are decided here by `rewards.grading.math.compare`, without SymPy; the others go to the grader processes of
`rewards.grading.worker_pool`. Repeats come from a cache. An answer that is missing is wrong; one that is refused, or
that times out or crashes its grader, is None with a reason, which `unjudged()` counts.
"""

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from configs.errors import RewardError
from data.problem import Problem
from data.think_format import ThinkFormat
from rewards.grading import worker_pool
from rewards.grading.extract import extract, gold_answer
from rewards.grading.math.compare import compare_answers
from rewards.grading.math.equivalence import Equivalence
from rewards.grading.option_letter import clean_pair
from rewards.grading.unclosed import is_unclosed
from rewards.grading.verdict import Verdict

DEFAULT_TIMEOUT = 3.0
"""Seconds for one pair in a grader process, from the start of its execution."""
_CACHE_SIZE = 100_000
_LONGEST_CACHED = 1_000  # characters of an answer


class _Cache:
    """The last verdicts, by (gold, answer); a None is kept with the timeout that it failed at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[tuple[str, str], tuple[Equivalence, float]] = OrderedDict()
        self.unjudged: Counter[str] = Counter()

    def get(self, pair: tuple[str, str], timeout: float) -> Equivalence | None:
        with self._lock:
            cached = self._verdicts.get(pair)
            if cached is None or (cached[0].reason in ("timeout", "crash") and cached[1] < timeout):
                return None
            self._verdicts.move_to_end(pair)
            return cached[0]

    def put(self, pair: tuple[str, str], verdict: Equivalence, timeout: float) -> None:
        if len(pair[1]) > _LONGEST_CACHED:
            return
        with self._lock:
            self._verdicts[pair] = (verdict, timeout)
            if len(self._verdicts) > _CACHE_SIZE:
                self._verdicts.popitem(last=False)

    def count(self, verdicts: Sequence[Equivalence]) -> None:
        with self._lock:
            self.unjudged.update(verdict.reason for verdict in verdicts if verdict.correct is None)


_cache = _Cache()


def grade_many(
    golds: Sequence[str], answers: Sequence[str | None], timeout: float = DEFAULT_TIMEOUT
) -> list[bool | None]:
    """Whether each extracted answer is equivalent to its gold answer; see `judge_many`."""
    return [verdict.correct for verdict in judge_many(golds, answers, timeout)]


def grade_texts(
    golds: Sequence[str],
    texts: Sequence[str],
    think_format: ThinkFormat | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> list[bool | None]:
    """Whether each whole completion answers with its gold answer; see `judge_texts`."""
    return [verdict.correct for verdict in judge_texts(golds, texts, think_format, timeout)]


def judge_texts(
    golds: Sequence[str],
    texts: Sequence[str],
    think_format: ThinkFormat | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> list[Equivalence]:
    """Verdicts on whole completions, their answers found by `rewards.grading.extract`."""
    answers = [extract(text, think_format).answer for text in texts]
    return judge_many(golds, answers, timeout)


def judge_many(
    golds: Sequence[str], answers: Sequence[str | None], timeout: float = DEFAULT_TIMEOUT
) -> list[Equivalence]:
    """Verdicts with their reasons, in order.

    `golds` are clean answers, or solutions that mark theirs (`#### 18`, `\\boxed{18}`). `timeout` is in seconds of
    execution for each pair that needs a grader process. Raises RewardError when the lengths differ.
    """
    if len(golds) != len(answers):
        raise RewardError(f"{len(golds)} gold answers for {len(answers)} answers: give one gold answer for each")
    verdicts: list[Equivalence | None] = []
    hard: dict[tuple[str, str], list[int]] = {}  # pair → the rows that ask for it
    for row, (gold, answer) in enumerate(zip(golds, answers, strict=True)):
        verdict = _quick(gold, answer, timeout)
        verdicts.append(verdict)
        if verdict is None and answer is not None:
            hard.setdefault((gold, answer), []).append(row)
    if hard:
        judgements = worker_pool.shared().judge(
            [clean_pair(gold_answer(gold), answer) for gold, answer in hard], timeout
        )
        for (pair, rows), verdict in zip(hard.items(), map(_with_reason, judgements), strict=True):
            _cache.put(pair, verdict, timeout)
            for row in rows:
                verdicts[row] = verdict
    complete = [verdict for verdict in verdicts if verdict is not None]
    _cache.count(complete)
    return complete


def grade_math(
    problems: Sequence[Problem], answers: Sequence[str | None], seconds: float = DEFAULT_TIMEOUT
) -> list[Verdict]:
    """`math`: whether each answer is equivalent to the gold one; None for all answers to a gold one that is cut."""
    whole = [row for row, problem in enumerate(problems) if not is_unclosed(gold_answer(problem.answer))]
    equivalences = judge_many([problems[row].answer for row in whole], [answers[row] for row in whole], seconds)
    verdicts = [Verdict(None, "gold answer can't be parsed")] * len(problems)
    for row, equivalence in zip(whole, equivalences, strict=True):
        score = None if equivalence.correct is None else float(equivalence.correct)
        verdicts[row] = Verdict(score, equivalence.reason)
    return verdicts


def _with_reason(verdict: Equivalence) -> Equivalence:
    """Says that a gold answer was there, where math-verify found none that it can read."""
    return replace(verdict, reason="gold answer can't be read") if verdict.reason == "no gold answer" else verdict


def unjudged() -> Counter[str]:
    """How many verdicts of this process were None, by reason."""
    return Counter(_cache.unjudged)


def _quick(gold: str, answer: str | None, timeout: float) -> Equivalence | None:
    """The verdict when no grader process is needed for it."""
    if not gold.strip():
        return Equivalence(None, "no gold answer")
    if answer is None or not answer.strip():
        return Equivalence(False, "no answer")
    cached = _cache.get((gold, answer), timeout)
    if cached is not None:
        return cached
    verdict = compare_answers(*clean_pair(gold_answer(gold), answer))
    if verdict is not None:
        _cache.put((gold, answer), verdict, timeout)
    return verdict


def _after_fork() -> None:
    global _cache
    _cache = _Cache()  # its lock may have been held by another thread


os.register_at_fork(after_in_child=_after_fork)
