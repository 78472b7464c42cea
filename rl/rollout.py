"""Problems → the prompts that GRPO samples from, and completions from our engines in the columns that TRL takes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from budget_forcing.budget import Budget
from configs.errors import DataError
from configs.schema.grpo import GrpoConfig
from data.problem import Problem
from data.prompts import check_lengths, render_problem, token_ids
from data.think_format import ThinkFormat
from data.told_budget import tell
from models.engines.base import Engine, Request
from models.engines.generation import Generation
from models.protocols import CausalLM


def prompts(
    problems: Sequence[Problem],
    tokenizer: PreTrainedTokenizerBase,
    think_format: ThinkFormat,
    limits: Sequence[int | None] = (),
    told: bool | str = False,
) -> list[str]:
    """One rendered prompt a problem, prefilled part included; `limits`: what each is told of its thinking."""
    return [render_problem(tokenizer, problem, think_format) for problem in told_limits(problems, limits, told)]


def told_limits(problems: Sequence[Problem], limits: Sequence[int | None], told: bool | str) -> list[Problem]:
    """The problems as they are asked: told the limit of their thinking, where the recipe says so."""
    if not told:
        return list(problems)
    pairs = zip(problems, limits, strict=True)
    return [replace(p, question=tell(p.question, n, told)) if n is not None else p for p, n in pairs]


def longest_prompts(
    config: GrpoConfig,
    problems: Sequence[Problem],
    tokenizer: PreTrainedTokenizerBase,
    think_format: ThinkFormat,
) -> list[str]:
    """`prompts` as they are longest: told the limit of any step that takes most tokens to write."""
    budget = config.rollout.budget
    if budget is None or not budget.told:
        return prompts(problems, tokenizer, think_format)
    limits = sorted({limit for stage in budget.stages for limit in stage})
    lengths = [len(ids) for ids in token_ids(tokenizer, [tell("", limit, budget.told) for limit in limits])]
    widest = limits[lengths.index(max(lengths))]
    return prompts(problems, tokenizer, think_format, [widest] * len(problems), budget.told)


def fitting(
    config: GrpoConfig, problems: list[Problem], rendered: list[str], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Problem], list[str]]:
    """Problems and their prompts, without those that `long_prompts: drop` leaves out; if none fits, all stay."""
    if config.drops_long_rows:
        problems, rendered = _without_long(config, problems, rendered, tokenizer)
    check_count(config, problems)
    return problems, rendered


def _without_long(
    config: GrpoConfig, problems: list[Problem], rendered: list[str], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Problem], list[str]]:
    room = config.model.max_length - config.completion_length
    kept = [at for at, ids in enumerate(token_ids(tokenizer, rendered)) if len(ids) <= room]
    if len(kept) in (0, len(problems)):
        return problems, rendered
    print(f"{len(problems) - len(kept)} of {len(problems)} problems are left out: prompts over {room} tokens")
    return [problems[at] for at in kept], [rendered[at] for at in kept]


def check_count(config: GrpoConfig, problems: Sequence[Problem]) -> None:
    """Raise `DataError` for fewer problems than a generation takes: TRL leaves out what fills none, so all of them."""
    if len(problems) < config.prompts_per_generation:
        sizes = ("generation_batch_size", "steps_per_generation")  # the first that is set decides, by TRL's rule
        lower = next((name for name in sizes if config.trainer.get(name)), "gradient_accumulation_steps")
        raise DataError(
            f"data: {len(problems)} problems to train on, and one generation takes {config.prompts_per_generation} "
            f"(its completions ÷ trainer.num_generations); give more, or lower trainer.{lower}"
        )


def longest_prompt(
    config: GrpoConfig, problems: Sequence[Problem], rendered: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> int:
    """In tokens. Raises `DataError` if a prompt leaves no room for a completion."""
    ids, setting = token_ids(tokenizer, rendered), "trainer.max_completion_length"
    return check_lengths(problems, ids, config.completion_length, config.model.max_length, setting)


def choice(engine: Engine, config: GrpoConfig, backend: str) -> str:
    """What draws the completions, and why."""
    if config.engine != "auto":
        why = "the recipe asks for it"
    elif engine.name == "unsloth":
        why = "model.fast_inference is on"
    else:
        why = f"the {backend} backend has no faster engine on the training weights"
    return f"{engine.name} ({engine.about}): {why}"


Generate = Callable[[Sequence[Problem], Sequence[str], Sequence[Budget | None], Any], list[Generation]]
"""Problems as they are asked, with a prompt and a budget each, and the training model → a completion for each."""


def make_generate(engine: Engine, config: GrpoConfig) -> Generate:
    """Completions as the recipe wants them, by its sampling alone; seeds come from torch's generator."""

    def generate(
        problems: Sequence[Problem], prompts: Sequence[str], budgets: Sequence[Budget | None], model: CausalLM
    ) -> list[Generation]:
        engine.follow(model)
        rows = zip(problems, token_ids(engine.tokenizer, prompts), budgets, strict=True)
        sampling, length = config.sampling, config.completion_length
        return engine.generate(
            [
                Request(tuple(ids), sampling, length, budget=budget, logprobs=True, problem=problem)
                for problem, ids, budget in rows
            ]
        )

    return generate


def trl_columns(generations: Sequence[Generation], is_forced: bool) -> dict[str, list[Any]]:
    """What TRL takes, one entry a completion: `prompt_ids`, `completion_ids`, `logprobs` (the policy's).

    `is_forced`: under a budget, or in an environment. Then `env_mask` is 0 where the token was forced: TRL leaves those
    out of the loss, of importance ratios and of lengths.
    """
    columns: dict[str, list[Any]] = {
        "prompt_ids": [list(g.prompt_ids) for g in generations],
        "completion_ids": [list(g.token_ids) for g in generations],
        "logprobs": [list(g.logprobs) for g in generations],
    }
    if is_forced:
        columns["env_mask"] = [[int(not forced) for forced in g.forced] for g in generations]
    return columns
