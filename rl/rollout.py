"""Problems → the prompts that GRPO samples from, and TRL's `rollout_func` over our engines."""

from collections.abc import Callable, Sequence
from typing import Any

from budget_forcing.budget import Budget, resolve
from budget_forcing.tokens import think_tokens
from configs.errors import DataError
from configs.schema import GrpoConfig
from data.problem import Problem
from data.prompts import render_prompt
from data.think import ThinkFormat
from models.engine import Engine, Generation, Request


def prompts(problems: Sequence[Problem], tokenizer: Any, think_format: ThinkFormat) -> list[str]:
    """One rendered prompt a problem, prefilled part included."""
    rendered = [render_prompt(tokenizer, p.question, think_format) for p in problems]
    bos = tokenizer.bos_token or ""
    if bos and tokenizer(rendered[0])["input_ids"][:2] == [tokenizer.bos_token_id] * 2:
        return [text.removeprefix(bos) for text in rendered]  # TRL's tokenizer call would add a second one
    return rendered


def check_lengths(
    problems: Sequence[Problem], rendered: Sequence[str], tokenizer: Any, completion: int, context: int
) -> int:
    """The longest prompt in tokens; raises `DataError` if one does not leave room for a completion."""
    lengths = [len(ids) for ids in tokenizer(list(rendered))["input_ids"]]
    over = [i for i, length in enumerate(lengths) if length + completion > context]
    if over:
        worst = max(over, key=lengths.__getitem__)
        raise DataError(
            f"{len(over)} of {len(problems)} prompts don't fit: problem {problems[worst].id} has {lengths[worst]} "
            f"tokens, with max_completion_length={completion} that is over model.max_length={context}; "
            "raise the one or lower the other"
        )
    return max(lengths)


def budget_of(config: GrpoConfig) -> Budget | None:
    """The recipe's budget of a completion; an effort level is a share of the longest completion minus its answer."""
    section = config.rollout.budget
    return None if section is None else Budget.from_config(section, config.completion_length)


def check_budget(config: GrpoConfig, tokenizer: Any, think_format: ThinkFormat, longest_prompt: int) -> None:
    """Raise `EngineError`, with the numbers, for a budget that the longest prompt leaves no room for."""
    if budget := budget_of(config):
        tokens = think_tokens(think_format, tokenizer)
        resolve(budget, tokens, tokenizer, longest_prompt, config.model.max_length, config.completion_length)


Generate = Callable[[Sequence[str], Any], list[Generation]]
"""Prompts and the training model → a completion for each."""


def make_generate(engine: Engine, config: GrpoConfig) -> Generate:
    """Completions as the recipe wants them: its sampling and its budget alone; seeds come from torch's generator."""
    budget = budget_of(config)

    def generate(prompts: Sequence[str], model: Any) -> list[Generation]:
        engine.follow(model)
        ids = engine.tokenizer(list(prompts))["input_ids"]
        sampling, length = config.sampling, config.completion_length
        return engine.generate([Request(tuple(i), sampling, length, budget=budget, logprobs=True) for i in ids])

    return generate


def make_rollout_func(engine: Engine, config: GrpoConfig) -> Callable[[list[str], Any], dict[str, Any]]:
    """TRL's `rollout_func`: a completion for each entry of `prompts`, which holds every prompt `num_generations` times.

    Returns what `as_columns` does.
    """
    generate = make_generate(engine, config)

    def rollout_func(prompts: list[str], trainer: Any) -> dict[str, Any]:
        return as_columns(generate(prompts, trainer.model), config.rollout.budget is not None)

    return rollout_func


def as_columns(generations: Sequence[Generation], budgeted: bool) -> dict[str, Any]:
    """What TRL takes, one entry a completion: `prompt_ids`, `completion_ids`, `logprobs` (the policy's).

    `generation` goes on to the reward functions. Under a budget `env_mask` is 0 where the token was forced: TRL leaves
    those out of the loss, of importance ratios and of lengths.
    """
    columns: dict[str, Any] = {
        "prompt_ids": [list(g.prompt_ids) for g in generations],
        "completion_ids": [list(g.token_ids) for g in generations],
        "logprobs": [list(g.logprobs) for g in generations],
        "generation": list(generations),
    }
    if budgeted:
        columns["env_mask"] = [[int(not forced) for forced in g.forced] for g in generations]
    return columns
