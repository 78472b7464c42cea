"""The budget of rollouts: a limit, several, or other ones from later steps on; every mistake is one line."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError
from configs.recipe import load_recipe
from configs.schema.rollout_budget import RolloutBudgetConfig
from configs.schema.sections import BudgetConfig

STAGES = [{"from_step": 3, "max_thinking": [4, 8]}, {"from_step": 5, "max_thinking": {"low": 2, "high": 5}}]


def budget(**fields: Any) -> RolloutBudgetConfig:
    return RolloutBudgetConfig.model_validate(fields)


@pytest.mark.parametrize(
    ("limits", "drawn"), [(8, [8]), ([4, 8], [4, 8]), ({"low": 4, "high": 7}, [4, 5, 6, 7]), (None, []), (0, [0])]
)
def test_limit_is_a_number_a_list_or_a_range(limits: Any, drawn: list[int]) -> None:
    assert list(budget(max_thinking=limits).limits_at(1)) == drawn


def test_stage_holds_from_its_step_on() -> None:
    found = budget(max_thinking=16, schedule=STAGES)
    assert [list(found.limits_at(step)) for step in (1, 2, 3, 4, 5, 900)] == [
        [16], [16], [4, 8], [4, 8], [2, 3, 4, 5], [2, 3, 4, 5],
    ]  # fmt: skip
    assert (min(found.ends), max(found.ends), found.is_drawn) == (2, 16, True)


def test_group_has_every_other_field() -> None:
    fields: dict[str, Any] = {"min_thinking": 2, "num_waits": 1, "wait_text": "Hm", "max_answer": 9}
    stop_when = {"probe_every": 40, "agree": 2}
    found = budget(max_thinking=[4, 8], told=True, stop_when=stop_when, **fields).under(4)
    assert found == BudgetConfig.model_validate({"max_thinking": 4, "stop_when": stop_when, **fields})


def test_documented_budget_is_valid() -> None:
    page = (Path(__file__).parents[2] / "docs/rollouts.md").read_text(encoding="utf-8")
    [block] = [its for its in page.split("\n\n") if "schedule:" in its and its.startswith("    rollout:")]
    found = budget(**yaml.safe_load(dedent(block))["rollout"]["budget"])
    assert found.told
    assert [list(found.limits_at(step)) for step in (1, 20, 40)] == [[16, 24, 32, 48, 64], [16, 24, 32], [16]]


def test_huge_range_is_not_written_out() -> None:
    assert max(budget(max_thinking={"low": 0, "high": 10**12}).ends) == 10**12


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("max_thinking=[]", r"max_thinking: List should have at least 1 item"),
        ("max_thinking=[16, -2]", r"max_thinking\.1: Input should be greater than or equal to 0, found -2"),
        ("max_thinking=many", r"max_thinking: Input should be a valid integer, found 'many'"),
        ("max_thinking={low: 9, high: 3}", r"max_thinking: low 9 is above high 3"),
        ("max_thinking={low: 3, hihg: 9}", r"max_thinking\.hihg: unknown key; did you mean 'high'\?"),
        ("min_thinking=60", r"budget: min_thinking 60 is above max_thinking 56"),
        ("schedule=[{from_step: 9, max_thinking: [8, 3]}] rollout.budget.min_thinking=4", "4 is above max_thinking 3"),
        ("effort=low", "give `effort` or `max_thinking`, not both"),
        ("told=briefly", r"budget: told: no \{max_thinking\} in 'briefly'; write it where the number belongs"),
        ("told=3", r"budget\.told: Input should be a valid boolean, found 3"),
        ("max_thinking=null rollout.budget.told=true", "told: there is no max_thinking to tell; give one"),
        ("max_thinking=null rollout.budget.effort=low rollout.budget.told=true", "no max_thinking to tell"),
        ("max_thinking=80", r"thinking 80 \(.*\) \+ answer 16 tokens don't fit trainer\.max_completion_length=96"),
        ("schedule=[{from_step: 9, max_thinking: 99}]", r"thinking 99 .* don't fit trainer\.max_completion_length=96"),
        ("schedule=[{from_step: 1, max_thinking: 9}]", r"schedule\.0\.from_step: Input should be greater than 1"),
        (
            "schedule=[{from_step: 9, max_thinking: 9}, {from_step: 4, max_thinking: 8}]",
            r"schedule: from_step 9, 4; each stage starts after the one before",
        ),
        (
            "max_thinking=null rollout.budget.schedule=[{from_step: 9, max_thinking: 9}]",
            "schedule: there is no max_thinking that it changes",
        ),
        ("told=true think_format=none", r"rollout\.budget: think_format none has no thinking to limit"),
    ],
)
def test_mistake_is_one_line(override: str, message: str) -> None:
    overrides = f"rollout.budget.{override}".replace(" rollout", "\nrollout").replace(" think", "\nthink").split("\n")
    with pytest.raises(ConfigError, match=message) as raised:
        load_recipe("grpo", "budget_cpu", overrides)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("limits", ["[16, 32]", "{low: 16, high: 32}"])
def test_limits_are_drawn_in_rollouts_alone(limits: str) -> None:
    with pytest.raises(ConfigError, match=r"max_thinking: one number here; .* in `rollout\.budget` of GRPO alone"):
        load_recipe("eval", "demo", [f"budgets.0.max_thinking={limits}"])


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("{told: true}", "told: there is no max_thinking to tell"),
        ("{max_thinking: 9, told: briefly}", r"told: no \{max_thinking\} in 'briefly'"),
        ("{max_thinking: 9, told: true, prompt: short}", "give `told` or `prompt`, not both"),
    ],
)
def test_told_point_names_one_length(point: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("eval", "demo", [f"budgets=[{point}]"])
