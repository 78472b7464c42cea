"""`soft_format`: whether thinking and answer are both there, in order, each delimiter once, white space free.

Range: {0, score}. Source: the GSM8K GRPO demo (W. Brown, 2025): 0.5. As there, text after the last delimiter is free
(`xmlcount` charges for it); unlike there, a second answer block, a nested tag or an empty part earns nothing.
"""

from collections.abc import Sequence

from rewards.grading.extract import format_fault
from rewards.rollout import Reward, Rollout


def soft_format(*, score: float = 0.5) -> Reward:
    """`score` for a completion that is well-formed (`rewards.grading.extract`) up to its last delimiter."""

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [score if fault(rollout) is None else 0.0 for rollout in rollouts]

    return reward


def fault(rollout: Rollout) -> str | None:
    """What is wrong up to the last delimiter, for a person to read; None when nothing is."""
    closing = rollout.think_format.answer_close
    if closing and rollout.text.count(closing) == 1 and not _reopened(rollout):
        return format_fault(rollout.text.split(closing)[0] + closing, rollout.think_format)
    return format_fault(rollout.text, rollout.think_format)


def _reopened(rollout: Rollout) -> bool:
    """Whether the text after the last delimiter opens a part again."""
    tail = rollout.text.split(rollout.think_format.answer_close)[1]
    return rollout.think_format.open in tail or rollout.think_format.answer_open in tail
