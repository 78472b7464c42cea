"""`think_format`: whether the thinking is opened at the start and closed, once; what follows is free.

Range: {0, score}. Source: `trl.rewards.think_format_reward` (TRL 1.14.2), which knows `<think>` alone and sees no
prefilled opening (it is 0 for ever with templates that prefill it): here the text carries the prefilled part, and other
formats are handed over in its spelling. TRL lets a second closing pass; this does not.
"""

from collections.abc import Sequence

from data.think_format import DEEPSEEK, END_OF_TURN, ThinkFormat, delimiters
from rewards.rollout import Reward, Rollout


def think_format(*, score: float = 1.0) -> Reward:
    """`score` for thinking that is opened and closed."""

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        from trl.rewards import think_format_reward  # light, but of no use to `--help`

        texts = [_translated(rollout.text, rollout.think_format) for rollout in rollouts]
        matches = think_format_reward([[{"content": text}] for text in texts])
        return [score * match for match in matches]

    return reward


def _translated(text: str, fmt: ThinkFormat) -> str:
    """`text` with the format's own delimiters of thinking written as TRL knows them; "" when one is there twice."""
    opening, closing = delimiters(fmt)[:2]
    if fmt.prefill and opening not in text:
        text = fmt.prefill + text
    if text.count(opening) > 1 or text.count(closing) > 1:
        return ""
    spelled = text.lstrip().replace(opening, DEEPSEEK.open).replace(closing, DEEPSEEK.end.strip())
    return END_OF_TURN.sub("", spelled)
