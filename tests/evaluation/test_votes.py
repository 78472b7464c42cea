"""Votes of k of n samples, against every subset and every order of them."""

import math
import random
from collections.abc import Sequence
from itertools import combinations, permutations
from types import SimpleNamespace
from typing import Any

import pytest

from configs.sample import Sample
from evaluation import votes
from evaluation.metrics import majority
from evaluation.votes import (
    Ballot,
    answer_logprob,
    ballot_of,
    majority_accuracy,
    subsets,
    weighted_accuracy,
    win_chances,
)

VERDICTS = {"right": True, "wrong": False, "other": False, "odd": None}


def ballot(*answers: str | None, weights: Sequence[float] | None = None) -> Ballot:
    return Ballot(answers, {answer: VERDICTS[answer] for answer in answers if answer is not None}, weights)


def over_all_orders(answers: Sequence[str | None], k: int) -> float | None:
    """The share of ordered draws whose majority, a tie going to the answer seen first, is right: by brute force."""
    verdicts = []
    for drawn in permutations(answers, k):
        winner = majority(drawn)
        verdicts.append(False if winner is None else VERDICTS[winner])
    graded = [verdict for verdict in verdicts if verdict is not None]
    return sum(graded) / len(graded) if graded else None


def over_all_subsets(answers: Sequence[str | None], weights: Sequence[float], k: int) -> float | None:
    """The share of subsets whose heaviest answer is right, ties in equal parts: by brute force."""
    right = graded = 0.0
    for drawn in combinations(range(len(answers)), k):
        sums: dict[str, float] = {}
        for at in drawn:
            if (answer := answers[at]) is not None:
                sums[answer] = sums.get(answer, 0.0) + weights[at]
        best = [answer for answer, total in sums.items() if math.isclose(total, max(sums.values()))]
        verdicts = [VERDICTS[answer] for answer in best] or [False]
        right += sum(verdict is True for verdict in verdicts) / len(verdicts)
        graded += sum(verdict is not None for verdict in verdicts) / len(verdicts)
    return right / graded if graded else None


RANDOM = random.Random(3)
DRAWN: list[list[str | None]] = [
    [RANDOM.choice([*VERDICTS, None, "right"]) for _ in range(RANDOM.randint(1, 6))] for _ in range(40)
]


@pytest.mark.parametrize("answers", DRAWN, ids=str)
def test_majority_is_that_of_all_orders(answers: list[str | None]) -> None:
    for k in range(1, len(answers) + 1):
        expected = over_all_orders(answers, k)
        found = majority_accuracy(ballot(*answers), k)
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))


@pytest.mark.parametrize("answers", DRAWN, ids=str)
@pytest.mark.parametrize("choices", [(0.25, 0.5, 1.0), (1.0,)])
def test_weighted_vote_is_that_of_all_subsets(answers: list[str | None], choices: Sequence[float]) -> None:
    weights = [random.Random(at).choice(choices) for at in range(len(answers))]
    for k in range(1, len(answers) + 1):
        expected = over_all_subsets(answers, weights, k)
        found = weighted_accuracy(ballot(*answers, weights=weights), k)
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_one_sample_is_the_mean_of_the_graded_ones() -> None:
    assert majority_accuracy(ballot("right", "wrong", "odd", None), 1) == pytest.approx(1 / 3)


def test_tie_counts_in_equal_parts() -> None:
    assert majority_accuracy(ballot("right", "wrong"), 2) == 0.5
    assert majority_accuracy(ballot("right", "wrong", "other"), 3) == pytest.approx(1 / 3)


def test_no_vote_is_no_right_answer() -> None:
    assert majority_accuracy(ballot(None, None), 2) == 0.0
    assert weighted_accuracy(ballot(None, None, weights=[1.0, 1.0]), 2) == 0.0


def test_ungraded_winner_is_left_out() -> None:
    assert majority_accuracy(ballot("odd", "odd", "right"), 3) is None
    assert majority_accuracy(ballot("odd", "odd", "right"), 1) == 1.0


def test_confident_votes_outweigh_many() -> None:
    answers = ballot("wrong", "wrong", "right", weights=[0.2, 0.2, 0.9])
    assert majority_accuracy(answers, 3) == 0.0
    assert weighted_accuracy(answers, 3) == 1.0


def test_weighted_vote_needs_weights() -> None:
    assert weighted_accuracy(ballot("right"), 1) is None


def test_chances_of_all_answers_add_up() -> None:
    counts, silent = (20, 17, 3, 3, 1, 1), 19
    n = sum(counts) + silent
    others = [tuple(sorted(counts[:at] + counts[at + 1 :])) for at in range(len(counts))]
    total = sum(win_chances(count, rest, silent) for count, rest in zip(counts, others, strict=True))
    nobody = [math.comb(silent, k) / math.comb(n, k) for k in range(n + 1)]
    assert total == pytest.approx([1 - chance for chance in nobody])


def test_subsets_are_drawn_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    many = subsets(64, 8)
    assert many.shape == (votes.DRAWN_SUBSETS, 64)
    assert set(many.sum(axis=1)) == {8}
    answers = ballot(*["right"] * 24, *["wrong"] * 20, *["other"] * 20, weights=[1.0] * 64)
    exact, drawn = majority_accuracy(answers, 8), weighted_accuracy(answers, 8)
    assert exact is not None
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(0.25 / votes.DRAWN_SUBSETS))


def sample(extracted: str | None, score: float | None, logprob: float | None = None) -> Sample:
    return Sample("q", extracted=extracted, score=score, gold="1/2", answer_logprob=logprob)


def test_right_spellings_vote_as_one() -> None:
    made = ballot_of([sample("0.5", 1.0), sample("1/2", 1.0), sample("2", 0.0), sample(None, 0.0)])
    assert made.answers == ["1/2", "1/2", "2", None]
    assert made.verdicts == {"1/2": True, "2": False}
    assert made.weights is None


def test_weights_are_needed_where_there_is_an_answer() -> None:
    made = ballot_of([sample("2", 0.0, -0.5), sample(None, 0.0)])
    assert made.weights is not None
    assert made.weights[0] == pytest.approx(math.exp(-0.5))
    assert ballot_of([sample("2", 0.0, -0.5), sample("3", 0.0)]).weights is None


def generation(**changes: Any) -> Any:
    known = {
        "token_ids": (5, 6, 7, 8, 2),
        "answer_tokens": 3,
        "forced": (False, True, False, False, False),
        "logprobs": (-9.0, 0.0, -1.0, -2.0, -9.0),
    }
    return SimpleNamespace(**known | changes)


def test_answer_logprob_is_of_the_chosen_answer_tokens() -> None:
    assert answer_logprob(generation(), eos=(2,)) == -1.5
    assert answer_logprob(generation(), eos=()) == -4.0
    assert answer_logprob(generation(logprobs=(-9.0, 0.0, -1.0, -1.00004, -9.0)), eos=(2,)) == -1.0


@pytest.mark.parametrize(
    "changes", [{"logprobs": ()}, {"answer_tokens": 0}, {"forced": (True,) * 5}, {"token_ids": (), "logprobs": ()}]
)
def test_answer_without_logprobs_has_none(changes: dict[str, Any]) -> None:
    assert answer_logprob(generation(**changes), eos=(2,)) is None
