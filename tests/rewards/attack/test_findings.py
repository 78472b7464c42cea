"""What no single completion shows is remarked: inverted, by length, unjudged, constant, broken."""

import time
from collections.abc import Callable

import pytest

from rewards.attack.findings import remarks
from rewards.attack.genome import Genome
from rewards.attack.measure import Bench
from rewards.attack.run import attacked

LEAKY = "tests.rewards.attack.leaky"
Build = Callable[..., Bench]


def said(bench: Bench) -> str:
    return "\n".join(map(str, remarks(bench)))


def test_right_answers_that_earn_less_are_open(bench: Build) -> None:
    made = bench([f"{LEAKY}:inverted"])
    attack = attacked(made, 0, time.monotonic() + 60, lambda tried, note: None)
    assert attack.open
    assert attack.finds == []
    assert said(made).startswith("open: a right answer earns 0, a wrong one 1")


def test_length_that_pays_more_than_being_right_is_open(bench: Build) -> None:
    made = bench(["correctness", f"{LEAKY}:longer"])
    assert "open: being longer pays more than being right" in said(made)


@pytest.mark.parametrize("reward", ["cosine", "length", {"name": "budget", "params": {"target": 20}}])
def test_shipped_length_rewards_are_sound(bench: Build, reward: object) -> None:
    assert said(bench(["correctness", reward])) == ""


def test_unjudged_and_constant_are_noted(bench: Build) -> None:
    made = bench([{"name": "correctness", "required": True}, f"{LEAKY}:constant"])
    made.measure(Genome(answer="near"))
    assert said(made) == "noted: reward constant is 0.5 for every completion"
    made.measure(Genome(answer="too_big"))
    assert "noted: too_big: not judged on 100%" in said(made)


def test_broken_reward_is_open(bench: Build) -> None:
    made = bench([f"{LEAKY}:fragile"])
    made.measure(Genome(answer="empty"))
    assert "open: a completion breaks a reward" in said(made)
