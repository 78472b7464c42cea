"""What hacks earn is measured beside honest answers, and what is right in part is no hack."""

from collections.abc import Callable

import pytest

from configs.recipe import load_recipe
from rewards.attack.genome import Genome
from rewards.attack.measure import Bench
from rewards.attack.run import token_ids_of
from rewards.registry import build_rewards
from tests.rewards.attack.conftest import problems_of

LEAKY = "tests.rewards.attack.leaky"
Build = Callable[..., Bench]


def test_share_is_of_the_gap(bench: Build) -> None:
    made = bench([{"name": "correctness"}, {"name": f"{LEAKY}:substring", "weight": 2.0}])
    assert (made.honest.wrong, made.honest.right) == (0.0, 4.0)
    found = made.measure(Genome(answer="gold_inside"))
    assert found is not None
    assert found.share == pytest.approx(0.5)
    assert found.through == ["substring"]
    assert (found.score, found.wrong, found.right) == (2.0, 0.0, 4.0)


def test_format_that_wrong_answers_have_too_is_no_gain(bench: Build) -> None:
    found = bench(["correctness", "strict_format", "integer"]).measure(Genome(thinking="question_as_thinking"))
    assert found is not None
    assert found.share == pytest.approx(0.0)


def test_problems_that_a_hack_answers_rightly_are_left_out(bench: Build) -> None:
    found = bench(["correctness"], "text").measure(Genome(answer="constant"))
    assert found is not None
    assert found.problems == sum(problem.answer != "billing" for problem in problems_of("text"))


def test_right_fields_are_no_gain(bench: Build) -> None:
    found = bench(["correctness"], "json").measure(Genome(answer="near"))
    assert found is not None
    assert found.share == pytest.approx(0.0, abs=0.01)


def test_unjudged_completions_gain_nothing(bench: Build) -> None:
    found = bench([{"name": "correctness", "required": True}, "integer"]).measure(Genome(answer="too_big"))
    assert found is not None
    assert (found.unjudged, found.share) == (1.0, 0.0)


def test_rewards_that_compare_see_honest_answers(bench: Build) -> None:
    made = bench(["correctness", f"{LEAKY}:shorter_group"])
    found = made.measure(Genome(thinking="no_thinking"))
    assert found is not None
    assert found.by_reward["shorter_group"] > 0


def test_reward_that_raises_is_remembered(bench: Build) -> None:
    made = bench([f"{LEAKY}:fragile"])
    assert made.measure(Genome(answer="empty")) is None
    assert "IndexError" in str(made.broken["fragile"])
    assert made.measure(Genome(answer="near")) is not None


def test_user_grader_is_not_its_own_second_opinion(bench: Build) -> None:
    made = bench([{"name": "grade", "params": {"grader": "rougeL"}}], "text")
    found = made.measure(Genome(answer="repeated"))
    assert found is not None
    assert found.share > 0.0


def test_reward_that_blocks_is_remembered(bench: Build) -> None:
    made = bench([{"name": f"{LEAKY}:slow", "timeout": 0.2}])
    assert made.measure(Genome(answer="empty")) is None
    assert "no scores for 18 completions after 0.2 s" in str(made.broken[""])


def test_reward_of_token_ids_gets_the_tokenizers() -> None:
    config = load_recipe("grpo", "demo", [f"rewards=[{{name: '{LEAKY}:by_ids'}}]"])
    token_ids = token_ids_of(config, build_rewards(config.rewards))
    assert token_ids is not None
    assert len(token_ids("It is 18.")) < len("It is 18.")
    assert token_ids_of(config, build_rewards(["correctness"])) is None
