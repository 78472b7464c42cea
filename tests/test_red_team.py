"""`benchmarks/weaknesses`: every planted reward keeps the contract and pays right answers more than wrong ones."""

import random
from pathlib import Path

from benchmarks.weaknesses.recipes import planted, shipped
from data.sources import load_problems
from data.think_format import resolve_think_format
from rewards.attack.measure import Bench
from rewards.attack.scene import scenes_of
from rewards.registry import build_rewards


def test_planted_recipes_pay_right_answers_more(tmp_path: Path) -> None:
    recipes = list(planted(tmp_path))
    assert sum(len(recipe.holes) for recipe in recipes) == 30
    assert sum(len(recipe.holes) for recipe in recipes if recipe.is_held_back) == 10
    for recipe in recipes:
        problems, form = load_problems(recipe.config.data), resolve_think_format(recipe.config.think_format)
        scenes = scenes_of(problems, form, recipe.config.completion_length, 8, random.Random(0))
        assert Bench(build_rewards(recipe.config.rewards), scenes).honest.gap > 0, recipe.name


def test_every_shipped_recipe_is_attacked(tmp_path: Path) -> None:
    assert len(dict(shipped(tmp_path))) == len(list((Path("configs") / "grpo").glob("*.yaml")))
