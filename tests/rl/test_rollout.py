"""Rollouts under a budget: what was forced is marked, and nothing of it is trained on."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from configs.errors import ConfigError, DataError, EngineError
from configs.recipe import load_recipe
from data.prompts import token_ids
from data.think_format import S1
from models.engines.generation import Generation
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel
from rewards.composition import Member, RewardSet
from rl import rollout
from rl.budgets import check_budget, longest_budget
from tests.rl.trainers import PROBLEMS, built, by_hand, gradients, randomise, recipe
from training import heldout

pytestmark = pytest.mark.engine

BUDGET: dict[str, Any] = {
    "max_thinking": 8,
    "num_waits": 1,
    "min_thinking": 4,
    "final_answer_text": "A:",
    "max_answer": 6,
}
LENGTH: dict[str, Any] = {"max_completion_length": 32}


def drawn(tiny: LoadedModel, **sections: Any) -> tuple[list[Generation], dict[str, Any]]:
    config = recipe(tiny, trainer=LENGTH, **sections)
    engine = TransformersEngine(tiny.model, tiny.tokenizer, S1, config.model.max_length)
    torch.manual_seed(3)
    problems = [problem for problem in PROBLEMS for _ in range(4)]
    prompts = rollout.prompts(problems, tiny.tokenizer, S1)
    budgets = [longest_budget(config)] * len(prompts)
    generations = rollout.make_generate(engine, config)(problems, prompts, budgets, tiny.model)
    return generations, rollout.trl_columns(generations, config.rollout.budget is not None)


def rewards(values: list[float]) -> RewardSet:
    return RewardSet([Member("r", lambda rollouts: [values[i % len(values)] for i in range(len(rollouts))])])


def test_no_budget_is_plain_grpo(tiny: LoadedModel) -> None:
    _, found = drawn(tiny)
    assert "env_mask" not in found
    assert len(found["completion_ids"]) == 16  # one for each entry, each prompt repeated already
    assert all(found["prompt_ids"][0] == ids for ids in found["prompt_ids"][:4])
    assert [len(ids) for ids in found["completion_ids"]] == [len(row) for row in found["logprobs"]]


def test_only_forced_tokens_are_masked(tiny: LoadedModel) -> None:
    generations, found = drawn(tiny, rollout={"budget": BUDGET})
    end = tiny.tokenizer.encode(S1.end + "A:", add_special_tokens=False)
    stops = [g.stop for g in generations]
    assert "limit" in stops
    for ids, mask, logprobs, g in zip(
        found["completion_ids"], found["env_mask"], found["logprobs"], generations, strict=True
    ):
        assert len(ids) == len(mask) == len(logprobs)
        assert mask == [int(not forced) for forced in g.forced]
        assert all(logprob == 0.0 for logprob, own in zip(logprobs, mask, strict=True) if not own)
        if g.stop == "limit":
            assert ids[8 : 8 + len(end)] == end
            assert mask[8 : 8 + len(end)] == [0] * len(end)
        assert 0 < sum(mask) < len(mask)


def test_forced_tokens_have_no_gradient(tiny: LoadedModel, tmp_path: Path) -> None:
    trainer = built(tiny, tmp_path, rewards([0.0, 1.0, 3.0]), rollout={"budget": BUDGET}, **LENGTH)
    randomise(trainer.model)
    trainer.model.train()
    prompts = rollout.prompts(PROBLEMS, tiny.tokenizer, S1)
    rows = [{"prompt": prompts[i], "problem": i} for i in (0, 1) for _ in range(4)]
    output = trainer._generate_and_score_completions(rows)
    forced = (output["completion_mask"] == 1) & (output["tool_mask"] == 0)
    assert forced.any(1).all()
    assert output["num_items_in_batch"] == (~forced & (output["completion_mask"] == 1)).sum()
    assert trainer._metrics["train"]["forced_share"][0] > 0
    found = gradients(trainer, trainer._compute_loss, output)
    for mine, theirs in zip(found[1:], by_hand(trainer.model, output), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    trainer.importance_sampling_level = "sequence"
    old = torch.full(output["completion_ids"].shape, -2.0)
    plain, mad = (
        gradients(trainer, trainer._compute_loss, output | {"old_per_token_logps": logps})
        for logps in (old, torch.where(forced, -900.0, old))
    )
    for mine, theirs in zip(plain, mad, strict=True):
        torch.testing.assert_close(mine, theirs, atol=0, rtol=0)


def test_importance_ratio_skips_forced_tokens(tiny: LoadedModel, tmp_path: Path) -> None:
    options: dict[str, Any] = LENGTH | {"vllm_importance_sampling_mode": "token_truncate"}
    trainer = built(tiny, tmp_path, rewards([0.0, 1.0, 3.0]), rollout={"budget": BUDGET}, exact=False, **options)
    draw = trainer.sampler.generate

    def off(*asked: Any) -> Any:
        return [replace(g, logprobs=tuple(logprob - 0.1 for logprob in g.logprobs)) for g in draw(*asked)]

    trainer.sampler.generate = off
    trainer.model.train()
    prompts = rollout.prompts(PROBLEMS, tiny.tokenizer, S1)
    output = trainer._generate_and_score_completions([{"prompt": prompts[0], "problem": 0} for _ in range(4)])
    own = (output["completion_mask"] * output["tool_mask"]).bool()
    forced = output["completion_mask"].bool() & ~own
    ratio = output["importance_sampling_ratio"]
    torch.testing.assert_close(ratio[own], torch.full_like(ratio[own], math.exp(0.1)), atol=1e-4, rtol=1e-4)
    assert ratio[forced].eq(1.0).all()
    assert trainer._metrics["train"]["sampling/sampling_logp_difference/mean"] == [pytest.approx(0.1, abs=1e-4)]


def test_reward_sees_thinking_stop(tiny: LoadedModel, tmp_path: Path) -> None:
    seen: list[Any] = []

    def watch(rollouts: Any) -> list[float | None]:
        seen.extend(rollouts)
        return [float(i % 2) for i in range(len(rollouts))]

    trainer = built(
        tiny, tmp_path, RewardSet([Member("w", watch)]), rollout={"budget": BUDGET}, **LENGTH | {"max_steps": 1}
    )
    trainer.train()
    assert {r.stop for r in seen} & {"limit", "waited:1"}
    assert all(r.thinking_tokens <= 8 and r.answer_tokens <= 6 + len("A:") for r in seen)
    assert all(S1.end in r.text for r in seen)


def test_oversized_budget_is_refused(tiny: LoadedModel) -> None:
    config = recipe(tiny, rollout={"budget": BUDGET | {"max_thinking": 24}}, trainer=LENGTH)
    with pytest.raises(EngineError, match=r"thinking 24 \+ end \d+ \+ answer 6 tokens"):
        check_budget(config, tiny.tokenizer, S1, 20)
    check_budget(recipe(tiny, rollout={"budget": BUDGET}, trainer=LENGTH), tiny.tokenizer, S1, 20)


def test_effort_is_share_of_completion(tiny: LoadedModel) -> None:
    config = recipe(tiny, rollout={"budget": {"effort": "medium", "max_answer": 12}}, trainer=LENGTH)
    found = longest_budget(config)
    assert found is not None
    assert found.max_thinking == 10  # half of 32 − 12


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["rollout.budget.max_thinkin=3"], r"rollout\.budget\.max_thinkin: unknown key; did you mean 'max_thinking'"),
        (["rollout.budget.max_thinking=3", "rollout.budget.effort=low"], "give `effort` or `max_thinking`, not both"),
        (["trainer.save_strategy=best"], r"trainer\.save_strategy: best never saves"),
        (["trainer.metric_for_best_model=reward"], r"trainer\.metric_for_best_model: leave it out; `eval` measures"),
        (["trainer.restore_callback_states_from_checkpoint=true"], "a resumed run restores what it needs"),
        (
            ["trainer.steps_per_generation=8", "trainer.gradient_accumulation_steps=2"],
            r"trainer\.save_steps: 10 is no multiple of the 4 steps",
        ),
    ],
)
def test_recipe_mistake_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load_recipe("grpo", "demo", overrides)
    assert "\n" not in str(raised.value)


def test_long_prompt_is_named(tiny: LoadedModel) -> None:
    config = recipe(tiny)  # completions of 6 tokens
    prompts = rollout.prompts(PROBLEMS, tiny.tokenizer, S1)
    longest = rollout.longest_prompt(config, PROBLEMS, prompts, tiny.tokenizer)
    assert longest == len(token_ids(tiny.tokenizer, prompts[:1])[0])  # they are all alike
    short = recipe(tiny, model={"name": tiny.base, "max_length": longest + 5})
    with pytest.raises(DataError, match=rf"problem 0 has {longest} tokens.*trainer\.max_completion_length=6"):
        rollout.longest_prompt(short, PROBLEMS, prompts, tiny.tokenizer)


def test_long_prompts_can_be_dropped(tiny: LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    problems = [*PROBLEMS, replace(PROBLEMS[0], id="long", question="1 + 1? " * 9)]
    prompts = rollout.prompts(problems, tiny.tokenizer, S1)
    fits = rollout.longest_prompt(recipe(tiny), PROBLEMS, prompts[:4], tiny.tokenizer)
    model = {"name": tiny.base, "max_length": fits + 6}
    strict, lenient = recipe(tiny, model=model), recipe(tiny, model=model, long_prompts="drop")
    assert rollout.fitting(strict, problems, prompts, tiny.tokenizer) == (problems, prompts)
    assert rollout.fitting(lenient, problems, prompts, tiny.tokenizer) == (PROBLEMS, prompts[:4])
    assert capsys.readouterr().out == f"1 of 5 problems are left out: prompts over {fits} tokens\n"
    none = recipe(tiny, model=model | {"max_length": 20}, long_prompts="drop")
    kept = rollout.fitting(none, problems, prompts, tiny.tokenizer)
    with pytest.raises(DataError, match="5 of 5 prompts don't fit: problem long has"):
        rollout.longest_prompt(none, *kept, tiny.tokenizer)


def test_too_few_problems_are_refused(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = {"num_generations": 2, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}
    config = recipe(tiny, trainer=trainer)
    prompts = rollout.prompts(PROBLEMS, tiny.tokenizer, S1)
    assert rollout.fitting(config, PROBLEMS, prompts, tiny.tokenizer) == (PROBLEMS, prompts)
    with pytest.raises(DataError, match="3 problems to train on, and one generation takes 4"):
        rollout.fitting(config, PROBLEMS[:3], prompts[:3], tiny.tokenizer)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DataError, match="4 problems to train on, and one generation takes 8"):
        rollout.fitting(config, PROBLEMS, prompts, tiny.tokenizer)


def with_bos(tiny: LoadedModel, writes: bool) -> Any:
    """A tokenizer that starts every text with a BOS; `writes`: its template does so too."""
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.bos_token = "<|endoftext|>"
    if writes:
        tokenizer.chat_template = "<|endoftext|>" + tokenizer.chat_template
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    assert tokenizer("1 + 1?")["input_ids"][0] == 0
    return tokenizer


@pytest.mark.parametrize("writes", [False, True])
def test_training_and_evaluation_share_prompts(tiny: LoadedModel, writes: bool) -> None:
    tokenizer = with_bos(tiny, writes)
    engine = TransformersEngine(tiny.model, tokenizer, S1, 256)
    prompts = rollout.prompts(PROBLEMS, tokenizer, S1)
    drawn = rollout.make_generate(engine, recipe(tiny))(PROBLEMS, prompts, [None] * 4, tiny.model)
    assert [list(g.prompt_ids) for g in drawn] == heldout.problem_prompt_ids(PROBLEMS, tokenizer, S1)
    assert all(g.prompt_ids[:2].count(0) == int(writes) for g in drawn)


def test_engine_choice_is_explained(tiny: LoadedModel) -> None:
    engine = TransformersEngine(tiny.model, tiny.tokenizer, S1, 256)
    asked = rollout.choice(engine, recipe(tiny, rollout={"engine": "transformers"}), "transformers")
    assert asked == "transformers (the weights in memory, adapter included): the recipe asks for it"
    assert "no faster engine" in rollout.choice(engine, recipe(tiny), "transformers")


def test_rollouts_ignore_generation_config(tiny: LoadedModel) -> None:
    model = tiny.model.generation_config
    before = drawn(tiny)[1]["completion_ids"]
    model.update(temperature=0.01, top_k=1, do_sample=False, max_new_tokens=1)
    try:
        assert drawn(tiny)[1]["completion_ids"] == before
    finally:
        model.update(temperature=1.0, top_k=50, max_new_tokens=None)


def test_plain_trl_reads_score_columns(tiny: LoadedModel, tmp_path: Path) -> None:
    """Plain TRL, given what we draw through its public `rollout_func`, has the same rewards."""
    from trl import GRPOTrainer

    from rl.scoring import reward_functions

    ours = built(tiny, tmp_path, rewards([0.0, 1.0]), rollout={"budget": BUDGET}, **LENGTH | {"max_steps": 1})
    stops: set[str] = set()

    def rollout_func(prompts: list[str], trainer: Any) -> dict[str, Any]:
        numbers = [ours.sampler.prompts.index(prompt) for prompt in prompts]
        batch, _ = ours.sampler.draw(numbers, trainer.model, trainer.state)
        stops.update(r.stop for r in batch.rollouts)
        return batch.columns(is_forced=True)

    plain = GRPOTrainer(
        model=tiny.model,
        reward_funcs=reward_functions(["r"]),
        rollout_func=rollout_func,
        args=ours.args,
        train_dataset=ours.train_dataset,
        processing_class=tiny.tokenizer,
    )
    plain.train()
    assert stops & {"limit", "waited:1"}
    assert plain.state.log_history[0]["reward"] == 0.5
