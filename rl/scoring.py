"""Rewards for TRL: our rollouts, with special tokens kept, behind functions in TRL's signature."""

from collections.abc import Callable, Sequence
from typing import Any

from data.problem import Problem
from data.think_format import ThinkFormat
from models.engines.base import Generation, positions
from models.engines.generation import forced_characters, turn_of
from rewards.composition import RewardSet, Scores
from rewards.rollout import Rollout


class RolloutScorer:
    """TRL-style reward functions, one a reward, over one shared scoring of the batch."""

    def __init__(
        self,
        rewards: RewardSet,
        problems: Sequence[Problem],
        tokenizer: Any,
        think_format: ThinkFormat,
        eos: Sequence[int],
    ) -> None:
        self.rewards, self.problems = rewards, problems
        self.tokenizer, self.think_format, self.eos = tokenizer, think_format, eos
        self.max_tokens: int | None = None
        self.rollouts: list[Rollout] = []
        self.scores: Scores = {}
        self.is_ready = False
        """Whether the next batch that TRL asks for has been scored already."""

    def functions(self) -> list[Callable[..., list[float | None]]]:
        """What `GRPOTrainer(reward_funcs=…)` takes; TRL calls them in order, so the first one scores the batch."""
        return [self._function(name) for name in self.rewards.names]

    def _function(self, name: str) -> Callable[..., list[float | None]]:
        def reward(
            prompts: list[str],
            completion_ids: list[list[int]],
            problem: list[int],
            trainer_state: Any,
            generation: Sequence[Generation] = (),
            **_: Any,
        ) -> list[float | None]:
            if name == self.rewards.names[0] and not self.is_ready:
                self.rollouts = self.seen(prompts, problem, generation or completion_ids)
                self.scores = self.rewards.score(self.rollouts, trainer_state)
            self.is_ready = False
            return self.scores[name]

        reward.__name__ = name
        return reward

    def seen(
        self, prompts: Sequence[str], problems: Sequence[int], completions: Sequence[Generation] | Sequence[list[int]]
    ) -> list[Rollout]:
        """Completions as rewards see them: an engine's, or ids alone where TRL's own generation made them."""
        rows = zip(prompts, problems, list[Generation | list[int]](completions), strict=True)
        return [self.rollout(prompt, self.problems[at], made) for prompt, at, made in rows]

    def rollout(self, prompt: str, problem: Problem, made: Generation | list[int]) -> Rollout:
        """One of them."""
        if isinstance(made, Generation):
            ids, stop, truncated = made.token_ids, made.stop or "natural", made.finish == "length"
            thought, answered = made.thinking_tokens, made.answer_tokens
            forced = tuple(forced_characters(made, self.tokenizer, self.think_format.prefill))
        else:
            ids, stop, truncated = tuple(made), "natural", not made or made[-1] not in self.eos
            length = len(made) - (not truncated)
            thought, answer_at = positions(made[:length], self.tokenizer, self.think_format)
            answered, forced = length - answer_at, ()
        return Rollout(
            problem=problem,
            text=turn_of(ids, self.eos, self.tokenizer, self.think_format),
            think_format=self.think_format,
            prompt=prompt,
            completion_ids=ids,
            completion_tokens=len(ids),
            thinking_tokens=thought,
            answer_tokens=answered,
            max_tokens=self.max_tokens,
            truncated=truncated,
            stop=stop,
            forced=forced,
        )
