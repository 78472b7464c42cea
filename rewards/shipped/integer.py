"""`integer`: whether the answer is an integer, right or wrong.

Range: {0, score}. Source: the GSM8K GRPO demo (W. Brown, 2025): 0.5; signs, thousands separators and full-width
digits count as an integer here.
"""

import re
from collections.abc import Sequence

from rewards.grading.extract import extract
from rewards.rollout import Reward, Rollout

_INTEGER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)", re.ASCII)


def integer(*, score: float = 0.5) -> Reward:
    """`score` when the extracted answer is an integer and nothing else."""

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        answers = [extract(rollout.text, rollout.think_format).answer for rollout in rollouts]
        return [score if answer is not None and _INTEGER.fullmatch(answer) else 0.0 for answer in answers]

    return reward
