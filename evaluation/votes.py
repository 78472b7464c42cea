"""Votes among the samples of a question: how likely the vote of k of them is right, over all subsets of k.

A tie counts in equal parts, which is what "the answer seen first wins" comes to over all orders of the samples.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from budget_forcing.agreement import mean_logprob
from configs.sample import Sample
from evaluation.metrics import Floats

if TYPE_CHECKING:
    from models.engines.generation import Generation

MOST_SUBSETS = 20_000
"""Up to so many subsets a weighted vote is taken over all of them; above, over `DRAWN_SUBSETS` of them."""
DRAWN_SUBSETS = 4_000


@dataclass(frozen=True, slots=True)
class Ballot:
    """The votes of a question's samples, one each.

    answers   right spellings of the gold answer vote as one, other answers as they were extracted; None casts no vote
    verdicts  whether an answer is right; None: it could not be graded
    weights   exp(mean log-probability of the answer's tokens); None where a vote has none
    """

    answers: Sequence[str | None]
    verdicts: Mapping[str, bool | None]
    weights: Sequence[float] | None = None


def ballot_of(samples: Sequence[Sample]) -> Ballot:
    """The votes of one question's samples, in their order."""
    answers = [sample.gold if sample.is_right else sample.extracted for sample in samples]
    verdicts = {answer: sample.is_right for answer, sample in zip(answers, samples, strict=True) if answer is not None}
    logprobs = [0.0 if answer is None else one.answer_logprob for answer, one in zip(answers, samples, strict=True)]
    known = [math.exp(logprob) for logprob in logprobs if logprob is not None]
    return Ballot(answers, verdicts, known if len(known) == len(logprobs) else None)


def answer_logprob(generation: "Generation", eos: Sequence[int]) -> float | None:
    """Mean log-probability of the answer's tokens that the policy chose, the end of the turn left out.

    None where there is no such token, or the engine gave no log-probabilities.
    """
    if not generation.logprobs:
        return None
    end = len(generation.token_ids) - (generation.token_ids[-1] in eos)
    answer = slice(end - generation.answer_tokens, end)
    return mean_logprob(generation.logprobs[answer], generation.forced[answer])


def majority_accuracy(ballot: Ballot, k: int) -> float | None:
    """Chance that the majority of k samples is right, among the subsets whose winner could be graded.

    None where there is no such subset. Without any vote there is no right answer. Exact.
    """
    counts = Counter(answer for answer in ballot.answers if answer is not None)
    silent = len(ballot.answers) - counts.total()
    chances = {}
    for answer, verdict in ballot.verdicts.items():
        if verdict is not False:
            others = tuple(sorted(count for other, count in counts.items() if other != answer))
            chances[answer] = float(win_chances(counts[answer], others, silent)[k])
    return _accuracy(ballot, chances)


def weighted_accuracy(ballot: Ballot, k: int) -> float | None:
    """`majority_accuracy` where each vote counts as much as its weight; over drawn subsets where there are too many.

    None also without weights.
    """
    if ballot.weights is None:
        return None
    answers = list(ballot.verdicts)
    votes_NA = np.zeros((len(ballot.answers), len(answers)))
    for sample, (answer, weight) in enumerate(zip(ballot.answers, ballot.weights, strict=True)):
        if answer is not None:
            votes_NA[sample, answers.index(answer)] = weight
    if not answers:
        return 0.0
    sums_SA = subsets(len(ballot.answers), k) @ votes_NA
    most_S1 = sums_SA.max(axis=1, keepdims=True)
    tied_SA = (sums_SA > 0) & (sums_SA >= most_S1 * (1 - 1e-9))  # sums that are equal but for rounding are a tie
    shares_SA = tied_SA / np.maximum(tied_SA.sum(axis=1, keepdims=True), 1)
    return _accuracy(ballot, dict(zip(answers, shares_SA.mean(axis=0).tolist(), strict=True)))


def _accuracy(ballot: Ballot, chances: Mapping[str, float]) -> float | None:
    """The chance of a right winner among the graded ones, from each answer's chance to win."""
    right = sum(chances[answer] for answer, verdict in ballot.verdicts.items() if verdict)
    ungraded = sum(chances[answer] for answer, verdict in ballot.verdicts.items() if verdict is None)
    if ungraded > 1 - 1e-9:
        return None
    return round(right / (1 - ungraded), 12)  # what is certain is 1, not 0.9999…: intervals look at that


@lru_cache(maxsize=10_000)
def win_chances(count: int, others: tuple[int, ...], silent: int) -> Floats:
    """Chance that an answer wins the vote of k of n samples, for k = 0 … n; a tie of t answers counts 1/t.

    `count` samples gave it, `others` each of the other answers, `silent` none. Counts the subsets as coefficients of
    products of polynomials, so that all C(n, k) of them are in it.
    """
    n = count + sum(others) + silent
    wins = np.zeros(n + 1)
    for votes in range(1, count + 1):
        # ways_TK[t, k]: how many sets of k other samples give t answers as many votes, and none of them more
        ways_TK = np.zeros((sum(other >= votes for other in others) + 1, n + 1))
        ways_TK[0, : silent + 1] = _binomials(silent)
        for other in others:
            fewer = _binomials(other)[:votes]
            grown_TK = np.array([np.convolve(ways, fewer)[: n + 1] for ways in ways_TK])
            if other >= votes:
                grown_TK[1:, votes:] += math.comb(other, votes) * ways_TK[:-1, : n + 1 - votes]
            ways_TK = grown_TK
        shared = (ways_TK / np.arange(1, len(ways_TK) + 1)[:, None]).sum(axis=0)
        wins[votes:] += math.comb(count, votes) * shared[: n + 1 - votes]
    return np.asarray(wins / _binomials(n))


def _binomials(n: int) -> Floats:
    """C(n, 0) … C(n, n)."""
    return np.array([math.comb(n, k) for k in range(n + 1)], dtype=np.float64)


@lru_cache(maxsize=64)
def subsets(n: int, k: int) -> Floats:
    """Subsets of k of n samples as rows of 0 and 1: all of them, or `DRAWN_SUBSETS` drawn by a fixed seed."""
    if math.comb(n, k) <= MOST_SUBSETS:
        chosen = np.array(list(combinations(range(n), k)))
    else:
        chosen = np.random.default_rng(0).random((DRAWN_SUBSETS, n)).argsort(axis=1)[:, :k]
    rows = np.zeros((len(chosen), n))
    np.put_along_axis(rows, chosen, 1.0, axis=1)
    return rows
