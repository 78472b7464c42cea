"""`tag_count`: the share of the format's delimiters that occur exactly once.

Range: [0, score]. Source: open-r1's `tag_count_reward` (0.25 for each of four tags), for any think format: a delimiter
that the prompt prefills counts as written.
"""

from collections.abc import Sequence

from rewards.grading.extract import written_once
from rewards.rollout import Reward, Rollout


def tag_count(*, score: float = 1.0) -> Reward:
    """`score` shared equally among the delimiters."""

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [score * _share(rollout) for rollout in rollouts]

    return reward


def _share(rollout: Rollout) -> float:
    once = written_once(rollout.text, rollout.think_format)
    return sum(once) / len(once)
