"""Which round is built upon, and when the loop ends."""

import random

import pytest

from configs.round_record import RoundRecord
from configs.sample import Sample
from self_improve.decision import decide, last_taken, taken_before, why_to_stop

NONE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}


def answers(rate: float, seed: int, questions: int = 200) -> list[Sample]:
    rng = random.Random(seed)
    return [
        Sample(id=str(at), sample=number, gold="7", score=float(rng.random() < rate))
        for at in range(questions)
        for number in range(4)
    ]


def records(*taken: bool) -> list[RoundRecord]:
    return [RoundRecord(number, 0, "", NONE, is_taken=is_taken) for number, is_taken in enumerate((True, *taken))]


def test_clear_gain_is_built_upon() -> None:
    decision = decide(answers(0.3, 1), answers(0.45, 2), 3, 0)
    assert decision.is_taken
    assert decision.verdict.endswith("at 98.3% the interval excludes zero from below: built upon")


def test_loss_is_not_built_upon() -> None:
    decision = decide(answers(0.45, 1), answers(0.3, 2), 3, 0)
    assert not decision.is_taken
    assert decision.verdict.endswith("does not exclude zero from below: not built upon")


def test_more_rounds_ask_for_more() -> None:
    before, after = answers(0.30, 1), answers(0.345, 5)
    assert decide(before, after, 1, 0).gain.difference.low > 0
    assert decide(before, after, 1, 0).is_taken
    assert not decide(before, after, 50, 0).is_taken


def test_loops_that_do_nothing_rarely_build() -> None:
    taken = 0
    for loop in range(60):
        before = answers(0.3, 1000 * loop, 60)
        taken += any(decide(before, answers(0.3, 1000 * loop + one, 60), 3, 0).is_taken for one in (1, 2, 3))
    assert taken <= 6  # 1 of 40 in the long run, twice that where three rounds share their start


@pytest.mark.parametrize(
    ("taken", "reason"),
    [
        ((), None),
        ((True,), None),
        ((True, True, True), "all 3 rounds are done"),
        ((False,), None),
        ((False, False), "2 rounds in a row did not help (patience=2)"),
        ((False, True), None),
        ((True, False, False), "2 rounds in a row did not help (patience=2)"),
        ((True, True, False), "all 3 rounds are done"),
    ],
)
def test_loop_ends_for_a_reason(taken: tuple[bool, ...], reason: str | None) -> None:
    assert why_to_stop(records(*taken), rounds=3, patience=2) == reason


def test_next_round_builds_on_the_last_that_helped() -> None:
    rounds = records(True, False)
    assert last_taken(rounds).number == 1
    assert taken_before(rounds) == [1]
    assert last_taken(records(False)).number == 0
    assert taken_before(records(False)) == []
