"""The budget of each group of completions: drawn, changed over the steps, and checked at its longest."""

import random
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from budget_forcing.budget import Budget, resolve
from budget_forcing.tokens import think_tokens
from configs.schema.grpo import GrpoConfig
from data.problem import Problem
from data.think_format import ThinkFormat


def group_budgets(config: GrpoConfig, problems: Sequence[Problem], step: int, attempt: int = 0) -> list[Budget | None]:
    """The budget of a group on each of `problems`; an effort level is a share of the longest completion minus answer.

    Where its limit is drawn, the seed is of the recipe, the step, the problem and the `attempt` (0, and one more each
    time that groups are drawn again): a resumed run, and one on other processes, draws the same.
    """
    section = config.rollout.budget
    if section is None:
        return [None] * len(problems)
    limits = section.limits_at(step)
    drawn = [random.Random(f"{config.seed} {step} {attempt} {one.id}").choice(limits or [None]) for one in problems]
    return [Budget.from_config(section.under(limit), config.completion_length) for limit in drawn]


def limit_of(budget: Budget | None) -> int | None:
    """Most thinking tokens of a completion under `budget`."""
    return None if budget is None else budget.max_thinking


def longest_budget(config: GrpoConfig) -> Budget | None:
    """The budget that any step's completion may think longest under."""
    section = config.rollout.budget
    if section is None:
        return None
    return Budget.from_config(section.under(max(section.ends, default=None)), config.completion_length)


def check_budget(
    config: GrpoConfig, tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat, longest_prompt: int
) -> None:
    """Raise `EngineError`, with the numbers, for a budget that the longest prompt leaves no room for."""
    if budget := longest_budget(config):
        tokens = think_tokens(think_format, tokenizer)
        resolve(budget, tokens, tokenizer, longest_prompt, config.model.max_length, config.completion_length)
