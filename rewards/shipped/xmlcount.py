"""`xmlcount`: a little for each delimiter that is there exactly once, less for text after the last.

Range: (-inf, 4 · per_tag], 0.5 at most by default; clip it in the recipe to bound it below. Source: the GSM8K GRPO demo
(W. Brown, 2025): 0.125 a tag, less 0.001 per character after the last one (the demo takes it off twice). As with
`tag_count`, a delimiter that the prompt prefills counts as written.
"""

from collections.abc import Sequence

from data.think_format import ThinkFormat, without_end_of_turn
from rewards.grading.extract import written_once
from rewards.rollout import Reward, Rollout


def xmlcount(*, per_tag: float = 0.125, per_character: float = 0.001) -> Reward:
    """`per_tag` for each delimiter that occurs once, less `per_character` for each after the format's last one."""

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [_count(rollout.text, rollout.think_format, per_tag, per_character) for rollout in rollouts]

    return reward


def _count(text: str, think_format: ThinkFormat, per_tag: float, per_character: float) -> float:
    score = per_tag * sum(written_once(text, think_format))
    if think_format.answer_close and think_format.answer_close in text:
        trailing = without_end_of_turn(text.rsplit(think_format.answer_close, 1)[1])
        score -= per_character * len(trailing.strip())
    return score
