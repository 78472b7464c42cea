"""Rewards for the length of a completion, or of its thinking."""

import math
from collections import defaultdict
from collections.abc import Sequence

from configs.errors import RewardError
from rewards.rollout import Reward, Rollout
from rewards.shipped.correctness import is_correct


def length() -> Reward:
    """`length`: shorter is better when right, and never better when wrong.

    It compares the completions of one problem, under one budget, in the batch. Kimi k1.5's length reward.

    Range: [-0.5, 0.5]; None where correctness is. Source: Kimi k1.5 (arXiv 2501.12599 §2.3.3): with λ = 0.5 - (len -
    min_len) / (max_len - min_len) over the group, a right answer gets λ, a wrong one min(0, λ); a group of one length
    gets 0. Length is in tokens.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        groups: defaultdict[tuple[str, str, int | None], list[int]] = defaultdict(list)
        for rollout in rollouts:
            groups[_group(rollout)].append(rollout.completion_tokens)
        scores: list[float | None] = []
        for rollout, correct in zip(rollouts, is_correct(rollouts), strict=True):
            lengths = groups[_group(rollout)]
            score = _lambda(rollout.completion_tokens, min(lengths), max(lengths))
            scores.append(None if correct is None else score if correct else min(0.0, score))
        return scores

    return reward


def _group(rollout: Rollout) -> tuple[str, str, int | None]:
    """Completions of one problem under one budget are compared: a step has them side by side, a file may have more."""
    return rollout.problem.id, rollout.problem.question, rollout.max_thinking


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


def exact_length(*, alpha: float = 0.0003, target: int | None = None) -> Reward:
    """`exact_length`: a right answer, less what the thinking is too long or too short.

    1 for a right answer and 0 for a wrong one, minus `alpha` for every token between the thinking and `target`
    (default: the limit that the completion thought under). It holds correctness: in place of that reward, not beside.

    Range: (-∞, 1]; None where correctness is. Source: L1 (arXiv 2503.04697 §3, LCPO-Exact): I(right) − α·|n_target −
    n|, α = 0.0003 for targets up to 4,000 tokens; n counts thinking tokens here. Shorter targets want a larger α: what
    a whole target is worth is α · target.
    """
    _check_target(alpha, target)

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        excess = [abs(_target(rollout, target, "exact_length") - rollout.thinking_tokens) for rollout in rollouts]
        rights = is_correct(rollouts)
        return [None if right is None else right - alpha * n for right, n in zip(rights, excess, strict=True)]

    return reward


def at_most_length(*, alpha: float = 0.0003, delta: float = 0.5, target: int | None = None) -> Reward:
    """`at_most_length`: a right answer is worth more the further its thinking stays below a length.

    `delta` for a right answer that thought for `target` tokens (default: the limit that the completion thought under),
    `alpha` more for every token less, down to 0 and up to 1; 0 for a wrong one. It holds correctness: in place of that
    reward, not beside it.

    Range: [0, 1]; None where correctness is. Source: L1 (arXiv 2503.04697 §3, LCPO-Max): I(right) · clip(α·(n_target −
    n) + δ, 0, 1), α = 0.0003 and δ = 0.5; n counts thinking tokens here. Shorter targets want a larger α.
    """
    _check_target(alpha, target)
    if not 0 <= delta <= 1:
        raise ValueError(f"delta {delta} is not between 0 and 1")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        spare = [_target(rollout, target, "at_most_length") - rollout.thinking_tokens for rollout in rollouts]
        rights = is_correct(rollouts)
        return [
            None if right is None else right * min(1.0, max(0.0, alpha * n + delta))
            for right, n in zip(rights, spare, strict=True)
        ]

    return reward


def adaptive_length(*, beta: float) -> Reward:
    """`adaptive_length`: thinking costs the more, the easier its problem is.

    -`beta` · thinking tokens · the share of the group's completions that are right, at least one of them: easy problems
    are pushed to be short, hard ones hardly. It stands beside a reward of correctness.

    Range: (-∞, 0]; None where correctness is. Source: ALP, "Just Enough Thinking" (arXiv 2506.05256): a penalty of
    β · length · max(p_solved, 1/K) over the K completions of a problem. Those that could not be judged count in
    neither.
    """
    if not beta > 0:
        raise ValueError(f"beta {beta} is not above 0")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        groups: defaultdict[tuple[str, str, int | None], list[bool]] = defaultdict(list)
        rights = is_correct(rollouts)
        for rollout, right in zip(rollouts, rights, strict=True):
            if right is not None:
                groups[_group(rollout)].append(right)
        scores: list[float | None] = []
        for rollout, right in zip(rollouts, rights, strict=True):
            group = groups[_group(rollout)]
            scores.append(None if right is None else -beta * rollout.thinking_tokens * max(sum(group), 1) / len(group))
        return scores

    return reward


def _check_target(alpha: float, target: int | None) -> None:
    if not alpha > 0:
        raise ValueError(f"alpha {alpha} is not above 0")
    if target is not None and target < 1:
        raise ValueError(f"target {target} is below 1")


def _target(rollout: Rollout, target: int | None, name: str) -> int:
    """How long the thinking is to be. Raises `RewardError` for a completion that had no limit, where none is given."""
    wanted = rollout.max_thinking if target is None else target
    if wanted is None:
        raise RewardError(
            f"reward '{name}' needs `target`: problem {rollout.problem.id} was answered without a max_thinking; set "
            "rollout.budget.max_thinking, or give the rows of a file that column"
        )
    return wanted
