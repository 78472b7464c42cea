"""`strict_format`: whether the completion is written exactly as the think format renders it, line breaks included.

Range: {0, score}. Source: the GSM8K GRPO demo (W. Brown, 2025): 0.5. Its public pattern lacks DOTALL and so never
matches reasoning that spans lines; this one does. White space after the last delimiter is free.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from data.think_format import ThinkFormat, without_end_of_turn
from rewards.grading.extract import is_well_formed
from rewards.rollout import Reward, Rollout


def strict_format(*, score: float = 0.5) -> Reward:
    """`score` for a well-formed completion (`rewards.grading.extract`) whose line breaks are the format's own too."""

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [score if matches(rollout.text, rollout.think_format) else 0.0 for rollout in rollouts]

    return reward


def matches(text: str, think_format: ThinkFormat) -> bool:
    """Whether `text` is well-formed and has the format's own line breaks."""
    return is_well_formed(text, think_format) and bool(_pattern(think_format).fullmatch(without_end_of_turn(text)))


@lru_cache(maxsize=16)
def _pattern(think_format: ThinkFormat) -> re.Pattern[str]:
    """What `ThinkFormat.render` writes, with anything for the two parts; the prefilled opening may be missing."""
    rendered = think_format.render("\x00", "\x00").rstrip()
    opening, between, closing = rendered.split("\x00")
    head = f"(?:{re.escape(opening)})?" if think_format.prefill else re.escape(opening)
    return re.compile(rf"{head}(?!\s).+{re.escape(between)}(?!\s).+{re.escape(closing)}\s*", re.DOTALL)
