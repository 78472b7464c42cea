"""The budget of a group: one for all its completions, drawn from the seed, told in its prompt, changed over steps."""

from pathlib import Path
from typing import Any

import pytest
import torch

from configs.run_directory import read_jsonl
from data.problem import Problem
from data.prompts import token_ids
from data.think_format import S1
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel
from rewards.composition import Member, RewardSet
from rewards.rollout import Rollout
from rl import rollout
from rl.budgets import group_budgets, limit_of, longest_budget
from tests.rl.trainers import PROBLEMS, built, recipe

pytestmark = pytest.mark.engine

MANY = [Problem(str(i), f"{i} + 1?", str(i + 1), "test") for i in range(24)]
DRAWN: dict[str, Any] = {"max_thinking": [2, 4, 9], "max_answer": 4}
LENGTH: dict[str, Any] = {"max_completion_length": 32}
BY_TURNS = RewardSet([Member("r", lambda rollouts: [float(i % 2) for i in range(len(rollouts))])])


def config(tiny: LoadedModel, seed: int = 42, **budget: Any) -> Any:
    return recipe(tiny, rollout={"budget": DRAWN | budget}, trainer=LENGTH, seed=seed)


def limits(*asked: Any) -> list[int | None]:
    return list(map(limit_of, group_budgets(*asked)))


def test_budgets_are_drawn_from_the_seed(tiny: LoadedModel) -> None:
    drawn = limits(config(tiny), MANY, 1)
    assert set(drawn) == {2, 4, 9}
    assert limits(config(tiny), MANY, 1) == drawn
    assert limits(config(tiny, seed=7), MANY, 1) != drawn
    assert limits(config(tiny), MANY, 2) != drawn
    assert limits(config(tiny), MANY, 1, 1) != drawn  # groups that are drawn again


def test_processes_draw_what_one_draws(tiny: LoadedModel) -> None:
    state = torch.get_rng_state()
    whole, halves = limits(config(tiny), MANY, 3), [limits(config(tiny), half, 3) for half in (MANY[:7], MANY[7:])]
    assert halves[0] + halves[1] == whole
    assert torch.equal(torch.get_rng_state(), state)  # and completions are drawn as without


def test_range_is_drawn_evenly(tiny: LoadedModel) -> None:
    asked = config(tiny, max_thinking={"low": 3, "high": 6})
    drawn = [limit for step in range(50) for limit in limits(asked, MANY, step)]
    assert all(0.2 < drawn.count(limit) / len(drawn) < 0.3 for limit in (3, 4, 5, 6))


def test_schedule_is_a_function_of_the_step(tiny: LoadedModel) -> None:
    asked = config(tiny, max_thinking=9, schedule=[{"from_step": 3, "max_thinking": 5}])
    assert [limits(asked, MANY[:1], step) for step in (1, 2, 3, 4)] == [[9], [9], [5], [5]]
    longer = config(tiny, max_thinking=5, schedule=[{"from_step": 3, "max_thinking": [4, 9]}])
    assert limit_of(longest_budget(longer)) == 9


def test_no_budget_stays_none(tiny: LoadedModel) -> None:
    assert group_budgets(recipe(tiny), PROBLEMS, 1) == [None] * 4
    assert longest_budget(recipe(tiny)) is None


def test_engine_takes_a_budget_per_request(tiny: LoadedModel) -> None:
    asked = config(tiny)
    engine = TransformersEngine(tiny.model, tiny.tokenizer, S1, 256)
    budgets = group_budgets(asked, MANY, 1)
    made = rollout.make_generate(engine, asked)(MANY, rollout.prompts(MANY, tiny.tokenizer, S1), budgets, tiny.model)
    assert all(g.thinking_tokens <= (limit_of(b) or 0) for g, b in zip(made, budgets, strict=True))
    forced = {limit_of(b) for g, b in zip(made, budgets, strict=True) if g.stop == "limit"}
    assert forced == {2, 4, 9}


def test_longest_prompt_is_told_the_longest_words(tiny: LoadedModel) -> None:
    asked = config(tiny, max_thinking=9, told="{max_thinking}!", schedule=[{"from_step": 3, "max_thinking": [12, 3]}])
    prompts = rollout.longest_prompts(asked, PROBLEMS, tiny.tokenizer, S1)
    assert all("+ 1?\n\n12!" in prompt for prompt in prompts)
    every = [rollout.prompts(PROBLEMS, tiny.tokenizer, S1, [limit] * 4, "{max_thinking}!") for limit in (3, 9, 12)]
    longest = max(len(ids) for told in every for ids in token_ids(tiny.tokenizer, told))
    assert rollout.longest_prompt(asked, PROBLEMS, prompts, tiny.tokenizer) == longest
    untold = rollout.longest_prompts(config(tiny), PROBLEMS, tiny.tokenizer, S1)
    assert untold == rollout.prompts(PROBLEMS, tiny.tokenizer, S1)


def trained(tiny: LoadedModel, folder: Path, rewards: RewardSet = BY_TURNS, **sections: Any) -> list[dict[str, Any]]:
    options = LENGTH | {"max_steps": 3, "per_device_train_batch_size": 16}
    trainer = built(tiny, folder, rewards, problems=MANY, rollout=sections, **options)
    trainer.train()
    return list(read_jsonl(folder / "rollouts.jsonl"))


def test_group_thinks_under_one_told_budget(tiny: LoadedModel, tmp_path: Path) -> None:
    seen: list[Rollout] = []

    def watch(rollouts: Any) -> list[float | None]:
        seen.extend(rollouts)
        return [float(i % 2) for i in range(len(rollouts))]

    rows = trained(tiny, tmp_path, RewardSet([Member("w", watch)]), budget=DRAWN | {"told": True})
    assert {row["max_thinking"] for row in rows} == {2, 4, 9}
    for at in range(0, len(rows), 4):
        [limit] = {row["max_thinking"] for row in rows[at : at + 4]}
        [prompt] = {row["prompt"] for row in rows[at : at + 4]}
        assert f"{rows[at]['id']} + 1?\n\nThink for up to {limit} tokens." in prompt
        assert all(row["thinking_tokens"] <= limit for row in rows[at : at + 4])
    assert [rollout.max_thinking for rollout in seen] == [row["max_thinking"] for row in rows]
    assert all(row["question"] == f"{row['id']} + 1?" for row in rows)


def test_prompt_in_training_is_the_told_one(tiny: LoadedModel, tmp_path: Path) -> None:
    trainer = built(tiny, tmp_path, BY_TURNS, rollout={"budget": DRAWN | {"told": True}}, **LENGTH)
    trainer.model.train()
    rows = [{"prompt": "untold", "problem": i} for i in (0, 1) for _ in range(4)]
    output = trainer._generate_and_score_completions(rows)
    for row, sample in enumerate(read_jsonl(tmp_path / "rollouts.jsonl")):
        ids = output["prompt_ids"][row][output["prompt_mask"][row].bool()].tolist()
        assert ids == token_ids(tiny.tokenizer, [sample["prompt"]])[0]
        assert f"up to {sample['max_thinking']} tokens" in sample["prompt"]


def test_redrawn_groups_draw_budgets_anew(tiny: LoadedModel, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    def watch(rollouts: Any) -> list[float | None]:
        seen.append((len(seen), rollouts[0].max_thinking))
        return [0.0] * len(rollouts)

    options: dict[str, Any] = LENGTH | {"max_steps": 1, "per_device_train_batch_size": 4}
    built(tiny, tmp_path, RewardSet([Member("w", watch)]), problems=MANY[:1],
          rollout={"budget": DRAWN, "resamples": 12}, **options).train()  # fmt: skip
    assert len(seen) == 13  # one problem, drawn again and again
    assert {limit for _, limit in seen} == {2, 4, 9}


def test_limits_fall_over_the_steps(tiny: LoadedModel, tmp_path: Path) -> None:
    stages = [{"from_step": 2, "max_thinking": 4}, {"from_step": 3, "max_thinking": [2, 3]}]
    rows = trained(tiny, tmp_path, budget={"max_thinking": 9, "max_answer": 4, "schedule": stages})
    found = {step: {row["max_thinking"] for row in rows if row["step"] == step} for step in (1, 2, 3)}
    assert (found[1], found[2]) == ({9}, {4})
    assert found[3] <= {2, 3}


def test_fixed_budget_is_told_too(tiny: LoadedModel, tmp_path: Path) -> None:
    budget = {"max_thinking": 5, "max_answer": 4, "told": "At most {max_thinking} tokens!"}
    rows = trained(tiny, tmp_path, budget=budget)
    assert all("?\n\nAt most 5 tokens!" in row["prompt"] for row in rows)


@pytest.mark.parametrize("limits", [[2, 4, 9], 9])
def test_mean_of_drawn_limits_is_logged(tiny: LoadedModel, tmp_path: Path, limits: Any) -> None:
    budget = DRAWN | {"max_thinking": limits}
    trainer = built(tiny, tmp_path, BY_TURNS, problems=MANY, rollout={"budget": budget}, **LENGTH)
    trainer.train()
    rows = list(read_jsonl(tmp_path / "rollouts.jsonl"))
    means = [sum(row["max_thinking"] for row in rows if row["step"] == step) / 8 for step in (1, 2)]
    logged = [row["max_thinking"] for row in trainer.state.log_history if "max_thinking" in row]
    assert logged == (means if limits != 9 else [])
