"""`length`: among the completions of one problem, shorter is better when right, and never better when wrong.

Range: [-0.5, 0.5]; None where correctness is. Source: Kimi k1.5 (arXiv 2501.12599 §2.3.3): with
λ = 0.5 - (len - min_len) / (max_len - min_len) over the group, a right answer gets λ, a wrong one min(0, λ); a group of
one length gets 0. Length is in tokens.
"""

from collections import defaultdict
from collections.abc import Sequence

from rewards.rollout import Reward, Rollout
from rewards.shipped.correctness import is_correct


def length() -> Reward:
    """Kimi k1.5's length reward; groups are the completions of one problem in the batch."""

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
