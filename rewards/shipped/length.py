"""Rewards for the length: `length`, `cosine`, `soft_overlong`, `budget`."""

import math
from collections import defaultdict
from collections.abc import Sequence

from configs.errors import RewardError
from rewards.rollout import Reward, Rollout
from rewards.shipped.correctness import is_correct


def length() -> Reward:
    """`length`: shorter is better when right, and never better when wrong.

    It compares the completions of one problem. Kimi k1.5's length reward; groups are the completions of one problem in
    the batch.

    Range: [-0.5, 0.5]; None where correctness is. Source: Kimi k1.5 (arXiv 2501.12599 §2.3.3): with λ = 0.5 - (len -
    min_len) / (max_len - min_len) over the group, a right answer gets λ, a wrong one min(0, λ); a group of one length
    gets 0. Length is in tokens.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for rollout in rollouts:
            groups[_group(rollout)].append(rollout.completion_tokens)
        scores: list[float | None] = []
        for rollout, correct in zip(rollouts, is_correct(rollouts), strict=True):
            lengths = groups[_group(rollout)]
            score = _lambda(rollout.completion_tokens, min(lengths), max(lengths))
            scores.append(None if correct is None else score if correct else min(0.0, score))
        return scores

    return reward


def _group(rollout: Rollout) -> tuple[str, str]:
    return rollout.problem.id, rollout.problem.question


def _lambda(tokens: int, shortest: int, longest: int) -> float:
    return 0.5 - (tokens - shortest) / (longest - shortest) if longest > shortest else 0.0


def cosine(
    *,
    max_len: int | None = None,
    min_value_wrong: float = -1.0,
    max_value_wrong: float = -0.5,
    min_value_correct: float = 0.5,
    max_value_correct: float = 1.0,
) -> Reward:
    """`cosine`: correctness scaled by length along half a cosine.

    Short right answers are worth most, short wrong ones cost most. From the value at length 0 to that at `max_len`
    tokens (default: the run's limit) along half a cosine.

    Range: [min_value_wrong, max_value_correct]; None where correctness is. Source: "Demystifying Long Chain-of-Thought
    Reasoning" (arXiv 2502.03373 App. C.1), with the parameters of TRL's `get_cosine_scaled_reward`. TRL's own is not
    used: it grades in this process with math-verify's SIGALRM timeouts, which hang off the main thread.
    """
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


def soft_overlong(*, soft_punish_cache: int, max_completion_len: int | None = None) -> Reward:
    """`soft_overlong`: a penalty that grows to -1 from a safe length to the limit.

    0 up to `max_completion_len` - `soft_punish_cache` tokens, linear to -1 from there (default: the run's limit).

    Range: [-1, 0]. Source: DAPO (arXiv 2503.14476 Eq. 13) through TRL 1.14.2's `get_soft_overlong_punishment`.
    """
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


def budget(*, target: int, tolerance: float = 0.1) -> Reward:
    """`budget`: keeps the thinking near a target length, right or wrong.

    0 up to `tolerance` · `target` away from `target` thinking tokens; from there -(excess / target), at least -1.

    Range: [-1, 0]. Source: L1 (arXiv 2503.04697 §3, LCPO-Exact): a penalty linear in |target - thinking tokens|, here
    as a share of the target, free within a tolerance, and bounded, so that it can't outweigh correctness.
    """
    if target < 1:
        raise ValueError(f"target {target} is below 1")
    if not 0 <= tolerance <= 1:
        raise ValueError(f"tolerance {tolerance} is not between 0 and 1")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        excess = [abs(rollout.thinking_tokens - target) / target - tolerance for rollout in rollouts]
        return [-min(1.0, max(0.0, share)) for share in excess]

    return reward
