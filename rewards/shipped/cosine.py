"""`cosine`: correctness scaled by length: short right answers are worth most, short wrong ones cost most.

Range: [min_value_wrong, max_value_correct]; None where correctness is. Source: "Demystifying Long Chain-of-Thought
Reasoning" (arXiv 2502.03373 App. C.1), with the parameters of TRL's `get_cosine_scaled_reward`. TRL's own is not used:
it grades in this process with math-verify's SIGALRM timeouts, which hang off the main thread.
"""

import math
from collections.abc import Sequence

from configs.errors import RewardError
from rewards.rollout import Reward, Rollout
from rewards.shipped.correctness import is_correct


def cosine(
    *,
    max_len: int | None = None,
    min_value_wrong: float = -1.0,
    max_value_wrong: float = -0.5,
    min_value_correct: float = 0.5,
    max_value_correct: float = 1.0,
) -> Reward:
    """From the value at length 0 to that at `max_len` tokens (default: the run's limit) along half a cosine."""
    if max_len is not None and max_len < 1:
        raise ValueError(f"max_len {max_len} is below 1")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        scores: list[float | None] = []
        for rollout, correct in zip(rollouts, is_correct(rollouts), strict=True):
            if correct is None:
                scores.append(None)
                continue
            limit = max_len or rollout.max_tokens
            if limit is None:
                raise RewardError("reward 'cosine' needs `max_len`: this run has no limit of its own")
            short, long = (max_value_correct, min_value_correct) if correct else (min_value_wrong, max_value_wrong)
            progress = min(rollout.completion_tokens / limit, 1.0)
            scores.append(long + 0.5 * (short - long) * (1.0 + math.cos(progress * math.pi)))
        return scores

    return reward
