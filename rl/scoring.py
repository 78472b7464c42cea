"""Generations → rollouts → scores, and the scores as columns, which TRL's reward functions only read."""

from collections.abc import Callable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase, TrainerState

from data.problem import Problem
from data.think_format import ThinkFormat
from models.engines.generation import Generation, assistant_turn, decode, forced_characters, result_characters
from rewards.composition import RewardSet, Scores
from rewards.rollout import Rollout

COLUMN = "score:{}"
"""The column of a reward's scores, beside the completions."""


def score_columns(scores: Scores) -> dict[str, list[float | None]]:
    """The scores of a batch as columns that travel with its completions."""
    return {COLUMN.format(name): scores_B for name, scores_B in scores.items()}


def reward_functions(names: Sequence[str]) -> list[Callable[..., list[float | None]]]:
    """What `GRPOTrainer(reward_funcs=…)` takes: one function a reward, which returns its column; it has to have one."""
    return [_reader(name) for name in names] or [unrewarded]


def unrewarded(completions: Sequence[Any], **_: Any) -> list[float | None]:
    """The same for every completion, where a teacher alone teaches: no group has an advantage."""
    return [0.0] * len(completions)


def _reader(name: str) -> Callable[..., list[float | None]]:
    def read(**columns: Any) -> list[float | None]:
        scores_B: list[float | None] = columns[COLUMN.format(name)]
        return scores_B

    read.__name__ = name
    return read


class RolloutScorer:
    """What a recipe's rewards make of an engine's completions; `max_tokens` is the longest that one may be."""

    def __init__(
        self,
        rewards: RewardSet,
        problems: Sequence[Problem],
        tokenizer: PreTrainedTokenizerBase,
        think_format: ThinkFormat,
        eos: Sequence[int],
        max_tokens: int | None = None,
    ) -> None:
        self.rewards, self.problems = rewards, problems
        self.tokenizer, self.think_format, self.eos, self.max_tokens = tokenizer, think_format, eos, max_tokens

    def rollouts(
        self,
        prompts: Sequence[str],
        problems: Sequence[int],
        generations: Sequence[Generation],
        limits: Sequence[int | None],
    ) -> list[Rollout]:
        """Completions as rewards see them; each one's prompt, the number of its problem, and its `max_thinking`."""
        rows = zip(prompts, problems, generations, limits, strict=True)
        return [self.rollout(prompt, self.problems[number], its, limit) for prompt, number, its, limit in rows]

    def rollout(
        self, prompt: str, problem: Problem, generation: Generation, max_thinking: int | None = None
    ) -> Rollout:
        """One completion as rewards see it, its special tokens kept."""
        prefill = self.think_format.prefill
        results = result_characters(generation, self.tokenizer, prefill)
        if generation.conversation:  # the environment may have added to the question
            prompt = decode(self.tokenizer, generation.prompt_ids)
        return Rollout(
            problem=problem,
            text=assistant_turn(generation, self.eos, self.tokenizer, self.think_format),
            think_format=self.think_format,
            prompt=prompt,
            completion_ids=generation.token_ids,
            completion_tokens=len(generation.token_ids),
            thinking_tokens=generation.thinking_tokens,
            answer_tokens=generation.answer_tokens,
            max_tokens=self.max_tokens,
            max_thinking=max_thinking,
            truncated=generation.finish == "length",
            stop=generation.stop or "natural",
            forced=tuple(forced_characters(generation, self.tokenizer, prefill)),
            earlier=(prefill + generation.text)[: results[-1][1]] if results else "",
            tool_results=tuple(results),
            conversation=generation.conversation,
        )

    def score(self, rollouts: Sequence[Rollout], state: TrainerState | None) -> Scores:
        """A column a reward. Raises `BrokenReward`."""
        return self.rewards.score(rollouts, state)

    def totals(self, scores: Scores, count: int) -> list[float | None]:
        """The weighted sum of each of `count` rows; None without rewards."""
        return self.rewards.totals(scores) if scores else [None] * count
