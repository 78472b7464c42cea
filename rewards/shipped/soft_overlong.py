"""`soft_overlong`: nothing up to a safe length, then a penalty that grows to -1 at the limit.

Range: [-1, 0]. Source: DAPO (arXiv 2503.14476 Eq. 13) through TRL 1.14.2's `get_soft_overlong_punishment`.
"""

from collections.abc import Sequence

from configs.errors import RewardError
from rewards.rollout import Reward, Rollout


def soft_overlong(*, soft_punish_cache: int, max_completion_len: int | None = None) -> Reward:
    """0 up to `max_completion_len` - `soft_punish_cache` tokens, linear to -1 from there (default: the run's limit)."""
    if soft_punish_cache < 1 or (max_completion_len is not None and soft_punish_cache > max_completion_len):
        raise ValueError(f"soft_punish_cache {soft_punish_cache} is not between 1 and max_completion_len")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        from trl.rewards import get_soft_overlong_punishment  # light, but of no use to `--help`

        scores: list[float | None] = []
        for rollout in rollouts:
            limit = max_completion_len or rollout.max_tokens
            if limit is None:
                raise RewardError("reward 'soft_overlong' needs `max_completion_len`: this run has no limit of its own")
            punishment = get_soft_overlong_punishment(limit, min(soft_punish_cache, limit))
            scores += punishment(completion_ids=[range(rollout.completion_tokens)])
        return scores

    return reward
