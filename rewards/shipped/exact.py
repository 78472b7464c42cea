"""`exact`: whether the extracted answer is the gold answer, character by character.

Range: {0, score}. Source: string match, as in SQuAD's exact match (Rajpurkar et al. 2016, arXiv 1606.05250 §6.1),
without its normalisation: white space around the answers is all that is forgiven.
"""

from collections.abc import Sequence

from rewards.grading.extract import extract
from rewards.rollout import Reward, Rollout


def exact(*, score: float = 1.0) -> Reward:
    """`score` when the strings are the same."""

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        answers = [extract(rollout.text, rollout.think_format).answer for rollout in rollouts]
        golds = [rollout.problem.answer.strip() for rollout in rollouts]
        return [score if answer == gold else 0.0 for answer, gold in zip(answers, golds, strict=True)]

    return reward
