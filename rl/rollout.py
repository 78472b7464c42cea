"""Problems → the prompts that GRPO samples from, and TRL's `rollout_func` over our engines."""

from collections.abc import Callable, Sequence
from typing import Any

from configs.errors import DataError
from configs.schema import GrpoConfig
from data.problem import Problem
from data.prompts import render_prompt
from data.think import ThinkFormat
from models.engine import Engine, Request


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


def make_rollout_func(engine: Engine, config: GrpoConfig) -> Callable[[list[str], Any], dict[str, Any]]:
    """TRL's `rollout_func`: a completion for each entry of `prompts`, which holds every prompt `num_generations` times.

    Sampling comes from the recipe alone, seeds from torch's generator. Returns `prompt_ids`, `completion_ids` and
    `logprobs` (the policy's, of the sampled tokens), one list a prompt.
    """

    def rollout_func(prompts: list[str], trainer: Any) -> dict[str, Any]:
        ids = engine.tokenizer(prompts)["input_ids"]
        generations = engine.generate([Request(tuple(row), config.sampling, config.completion_length) for row in ids])
        return {
            "prompt_ids": [list(g.prompt_ids) for g in generations],
            "completion_ids": [list(g.token_ids) for g in generations],
            "logprobs": [list(g.logprobs) for g in generations],
        }

    return rollout_func
