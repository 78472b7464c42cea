"""The search finds holes, also those that take two parts, and the same ones again by the same seed."""

import time
from collections.abc import Callable

from rewards.attack.findings import finds, state_of
from rewards.attack.genome import catalogue
from rewards.attack.measure import Bench
from rewards.attack.search import search

LEAKY = "tests.rewards.attack.leaky"
Build = Callable[..., Bench]


def found_by(bench: Bench, seed: int = 0, seconds: float = 60.0) -> list[str]:
    found = finds(search(bench, seed, time.monotonic() + seconds))
    return [f"{state_of(one)} {one.genome.name}" for one in found]


def test_one_hack_is_found_by_itself(bench: Build) -> None:
    assert "open gold_inside" in found_by(bench([f"{LEAKY}:substring"]))


def test_two_parts_are_combined_and_nothing_else_is_kept(bench: Build) -> None:
    made = bench([f"{LEAKY}:sure_and_thoughtless"])
    alone = [made.measure(genome) for genome in catalogue()]
    assert max(found.share for found in alone if found) < 0.2
    [best, *_] = found_by(made)
    assert best.startswith("open no_thinking + sure")


def test_sound_rewards_have_no_find(bench: Build) -> None:
    assert found_by(bench([{"name": "correctness", "params": {"unevaluated": 0.0}}, "strict_format", "integer"])) == []


def test_arithmetic_left_to_the_grader_is_found(bench: Build) -> None:
    assert "open unevaluated" in found_by(bench(["correctness"]))


def test_same_seed_finds_the_same(bench: Build) -> None:
    rewards = [f"{LEAKY}:substring", f"{LEAKY}:longer"]
    assert found_by(bench(rewards), seed=3) == found_by(bench(rewards), seed=3)


def test_time_that_is_up_ends_the_search(bench: Build) -> None:
    made = bench(["correctness"])
    assert found_by(made, seconds=-1.0) == []
    assert made.measured == {}
