"""A run in an environment of the user's own: how completions are drawn there, and the reward that it may bring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configs.errors import RewardError
from data.problem import Problem
from data.think_format import ThinkFormat
from models.engines.base import Engine
from models.engines.turns import TurnEngine, row_of
from models.environment import Environments
from models.tool_template import ToolTemplate
from rewards.composition import Member, RewardSet
from rewards.plugin import TIMEOUT, load
from rewards.rollout import Rollout

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DUMMIES = 3
"""How many completions `RewardSet.check` scores."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The environments of a run, and the chat template that offers their tools."""

    environments: Environments
    template: ToolTemplate

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """What prompts are rendered with."""
        return self.template.tokenizer

    def engine(self, inner: Engine, max_turns: int | None, at_once: int) -> TurnEngine:
        """`inner` in the environments; see `TurnEngine`."""
        return TurnEngine(inner, self.environments, self.template, max_turns, at_once)

    def about(self, max_turns: int | None) -> str:
        """A line for the screen."""
        tools = ", ".join(self.environments.tool_names) or "no tools"
        return f"{self.environments.name} ({tools}), {f'at most {max_turns}' if max_turns else 'any number of'} rounds"

    def with_own_reward(self, rewards: RewardSet) -> RewardSet:
        """`rewards` and, with weight 1 and under its class's name, what an environment's `get_reward` says, as in TRL.

        Raises `RewardError` where there is no reward at all, or two of one name.
        """
        environments = self.environments
        if not environments.has_reward:
            if rewards.members:
                return rewards
            raise RewardError(f"rewards: empty, and environment '{environments.name}' has no get_reward; give a reward")
        name = environments.reward_name
        if name in rewards.names:
            raise RewardError(f"rewards: '{name}' is what environment '{environments.name}' brings; rename the other")

        def earned(rollouts: Sequence[Rollout]) -> list[float | None]:
            found = [rollout.conversation.environment for rollout in rollouts if rollout.conversation]
            if len(found) != len(rollouts):
                raise RewardError(f"reward '{name}' is an environment's own, and a completion has none")
            return environments.rewards(found)

        return RewardSet([*rewards.members, Member(name=name, reward=earned, timeout=TIMEOUT)])

    def fresh(self, problem: Problem) -> list[Any]:
        """Instances that were just reset, for the dummy completions of `RewardSet.check`. Raises `EngineError`."""
        instances = self.environments.take(DUMMIES)
        for instance in instances:
            self.environments.reset(instance, row_of(problem), problem)
        return instances


def tool_use(path: str | None, tokenizer: "PreTrainedTokenizerBase", think_format: ThinkFormat) -> ToolUse | None:
    """What a run in the environment at `my_module:MyEnvironment` takes; None without one.

    Raises `RewardError` where it can't be imported, `ConfigError` where it is no environment, `ModelError` where the
    chat template can't offer its tools.
    """
    if path is None:
        return None
    environments = Environments(load(path, "environment"), path)
    return ToolUse(environments, ToolTemplate(tokenizer, environments.schemas, think_format))
