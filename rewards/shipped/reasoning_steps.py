"""`reasoning_steps`: whether the thinking goes step by step, by its markers, in English or Chinese.

Range: [0, 1]. Source: open-r1's `reasoning_steps_reward`: "Step 1:", "1.", bullets, "First," and so on, full score from
three on. Only the thinking is searched, so that an answer in bullets earns nothing.
"""

import re
from collections.abc import Sequence

from rewards.grading.extract import extract
from rewards.rollout import Reward, Rollout

_STEP = re.compile(
    r"\bStep \d+:|^\s*\d+[.)、]\s|^\s*[-*•]\s|\b(?:First|Second|Third|Next|Then|Finally)(?:ly)?,"
    r"|第[一二三四五六七八九十\d]+步|首先|其次|然后|接着|最后",
    re.MULTILINE,
)


def reasoning_steps(*, target: int = 3) -> Reward:
    """1.0 from `target` markers on, in proportion below."""
    if target < 1:
        raise ValueError(f"target {target} is below 1")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [min(1.0, markers(rollout) / target) for rollout in rollouts]

    return reward


def markers(rollout: Rollout) -> int:
    """How many step markers the thinking has."""
    return len(_STEP.findall(extract(rollout.text, rollout.think_format).thinking or ""))
