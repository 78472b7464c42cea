"""`budget`: keeps the thinking near a target length, right or wrong.

Range: [-1, 0]. Source: L1 (arXiv 2503.04697 §3, LCPO-Exact): a penalty linear in |target - thinking tokens|, here as a
share of the target, free within a tolerance, and bounded, so that it can't outweigh correctness.
"""

from collections.abc import Sequence

from rewards.rollout import Reward, Rollout


def budget(*, target: int, tolerance: float = 0.1) -> Reward:
    """0 up to `tolerance` · `target` away from `target` thinking tokens; from there -(excess / target), at least -1."""
    if target < 1:
        raise ValueError(f"target {target} is below 1")
    if not 0 <= tolerance <= 1:
        raise ValueError(f"tolerance {tolerance} is not between 0 and 1")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        excess = [abs(rollout.thinking_tokens - target) / target - tolerance for rollout in rollouts]
        return [-min(1.0, max(0.0, share)) for share in excess]

    return reward
