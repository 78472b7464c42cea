"""`rewards.build`: names, parameters, gates and plug-ins, checked before anything is scored."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from configs.errors import RewardError
from configs.schema.sections import RewardSpec
from data.problem import Problem
from data.think_format import DEEPSEEK, XML
from rewards.registry import SHIPPED, build_rewards
from rewards.rollout import Rollout

PLUGINS = "tests.rewards.plugins"


def rollout(text: str, **facts: Any) -> Rollout:
    problem = Problem("p", "What is 6 · 7?", "42", "test", solution="6 · 7 = 42", metadata={"level": 3})
    return Rollout(problem, text, DEEPSEEK, **facts)


def scores(name: str, *rollouts: Rollout, **params: Any) -> list[float | None]:
    built = build_rewards([RewardSpec(name=name, params=params)])
    return built.score(rollouts)[built.names[0]]


def test_rewards_keep_recipe_order() -> None:
    built = build_rewards([RewardSpec(name="xmlcount"), RewardSpec(name="correctness", weight=2.5)])
    assert (built.names, built.weights) == (["xmlcount", "correctness"], [1.0, 2.5])


def test_plain_dicts_are_validated() -> None:
    built = build_rewards([{"name": "correctness", "required": True}, {"name": "integer", "params": {"score": 0.1}}])
    assert (built.names, built.members[0].required) == (["correctness", "integer"], True)
    with pytest.raises(RewardError, match=r"rewards: .*weigth: Extra inputs are not permitted"):
        build_rewards([{"name": "correctness", "weigth": 2}])


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_reward_documents_range_and_source(name: str) -> None:
    import importlib

    text = getattr(importlib.import_module(f"rewards.shipped.{SHIPPED[name]}"), name).__doc__ or ""
    assert text.startswith(f"`{name}`: ")
    assert "Range: " in text
    assert "Source: " in text


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "corectness"}, r"reward 'corectness' is unknown \(did you mean 'correctness'\?\)"),
        (
            {"name": "correctness", "params": {"scor": 1}},
            r"no parameter 'scor' \(did you mean 'score'\?\); it takes score",
        ),
        ({"name": "length", "params": {"x": 1}}, "it takes none"),
        ({"name": "budget"}, "reward 'budget' needs the parameter 'target'"),
        ({"name": "repetition", "params": {"max_penalty": 1.0}}, "reward 'repetition': max_penalty 1.0 is above 0"),
        ({"name": "integer", "weight": float("nan")}, "reward 'integer': weight nan is not a finite number"),
        ({"name": "integer", "clip": [1.0, 0.0]}, r"reward 'integer': clip \[1.0, 0.0\] is not \[low, high\]"),
        ({"name": "integer", "when": "correctness >"}, "when: 'correctness >' can't be read"),
        ({"name": "integer", "when": "integr > 0"}, r"no reward 'integr' in the list \(did you mean 'integer'\?\)"),
        ({"name": "no_such_module:f"}, "module 'no_such_module' can't be imported"),
        ({"name": ":f"}, "reward ':f': '' is no module's full name; write `my_module:f`"),
        ({"name": ".f"}, "reward '.f': '' is no module's full name"),
        ({"name": "..mine:f"}, "reward '..mine:f': '..mine' is no module's full name"),
        ({"name": f"{PLUGINS}:nothing"}, "no function 'nothing' in tests.rewards.plugins .*own"),
        ({"name": f"{PLUGINS}:NOT_A_FUNCTION"}, "no function 'NOT_A_FUNCTION'"),
        ({"name": f"{PLUGINS}:no_arguments"}, "takes no argument"),
        ({"name": f"{PLUGINS}:own", "params": {"bonos": 1}}, r"no parameter 'bonos' \(did you mean 'bonus'\?\)"),
        ({"name": f"{PLUGINS}:own", "params": {"rollouts": 1}}, "no parameter 'rollouts'"),
        ({"name": f"{PLUGINS}:trl_strings", "params": {"prompts": 1}}, "'prompts' is passed by the trainer"),
    ],
)
def test_wrong_spec_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(RewardError, match=message):
        build_rewards([RewardSpec(**spec)])


def test_empty_or_repeated_list_is_refused() -> None:
    with pytest.raises(RewardError, match="the list is empty"):
        build_rewards([])
    with pytest.raises(RewardError, match="'integer' is there twice"):
        build_rewards([RewardSpec(name="integer"), RewardSpec(name="integer", weight=2.0)])
    with pytest.raises(RewardError, match="'mathr:reward' and 'coder:reward' have one column name, reward; rename"):
        build_rewards([RewardSpec(name="mathr:reward"), RewardSpec(name="coder:reward")])


def test_spec_sets_gate_clip_and_required() -> None:
    built = build_rewards(
        [
            RewardSpec(name="correctness", required=True),
            RewardSpec(name="xmlcount", when="correctness >= 2", clip=[0.0, 0.3]),
        ]
    )
    texts = [XML.render("6 · 7", answer) for answer in ("42", "41", "9^{9^{9^9}}")]
    problem = Problem("p", "q", "42", "test")
    found = built.score([Rollout(problem, text, XML) for text in texts])
    assert found == {"correctness": [2.0, 0.0, None], "xmlcount": [0.3, 0.0, None]}


@pytest.mark.parametrize("path", [f"{PLUGINS}:own", f"{PLUGINS}.own"])
def test_custom_reward_loads_by_path(path: str) -> None:
    assert scores(path, rollout("it is 42"), rollout("it is 41"), bonus=0.25) == [0.25, 0.0]


def test_trl_style_rewards_load_by_path() -> None:
    asked = [rollout("<think>\n6 · 7 = 42\n</think>\n\n42<|im_end|>"), rollout("no")]
    assert scores(f"{PLUGINS}:trl_strings", *asked) == [float(len(asked[0].text) - len("<|im_end|>")), 0.0]
    assert scores(f"{PLUGINS}:trl_messages", *asked) == [1.0, 0.0]


def test_trls_own_rewards_load() -> None:
    asked = [rollout("<think>a</think>b"), rollout("ab")]
    assert scores("trl.rewards:think_format_reward", *asked) == [1.0, 0.0]


def test_trl_style_reward_gets_ids_and_params() -> None:
    asked = [rollout("a", completion_ids=(5, 6, 7)), rollout("b", completion_ids=(5,))]
    assert scores(f"{PLUGINS}:trl_ids", *asked, scale=0.5) == [4.5, 1.5]


def test_trl_style_reward_gets_every_right_reply() -> None:
    several = Problem("1", "?", "a", "test", references=("a", "b"))
    asked = [Rollout(problem, text, XML) for problem, text in ((several, "b"), (replace(several, references=()), "b"))]
    assert scores(f"{PLUGINS}:trl_references", *asked) == [1.0, 0.0]


def test_trl_style_reward_needs_token_ids() -> None:
    with pytest.raises(RewardError, match="reward 'trl_ids' takes completion_ids"):
        scores(f"{PLUGINS}:trl_ids", rollout("a"))


def test_async_reward_gets_trainer_state() -> None:
    built = build_rewards([RewardSpec(name=f"{PLUGINS}:trl_async")])
    assert built.score([rollout("a")])["trl_async"] == [None]
    assert built.score([rollout("a")], trainer_state=SimpleNamespace(global_step=7))["trl_async"] == [7.0]


def test_raising_custom_reward_is_named() -> None:
    with pytest.raises(RewardError, match=r"reward 'broken_trl', row 0 .*LookupError: no model"):
        build_rewards([RewardSpec(name=f"{PLUGINS}:broken_trl")]).check(XML)


def test_string_reward_error_comes_first() -> None:
    what = "it raised IndexError: list index out of range; given messages .* AttributeError: 'list' object has no"
    with pytest.raises(RewardError, match=what):
        build_rewards([RewardSpec(name=f"{PLUGINS}:trl_last_words")]).check(XML)
