"""Rewards with holes, for the tests of the attack."""

import time
from collections.abc import Sequence
from typing import Any

from rewards.rollout import Rollout


def substring(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    return [float(gold in text) for text, gold in zip(completions, answer, strict=True)]


def sure_and_thoughtless(rollouts: Sequence[Rollout]) -> list[float | None]:
    """Pays a wrong answer for two things together, and next to nothing for one."""
    scores: list[float | None] = []
    for rollout in rollouts:
        parts = rollout.think_format.split(rollout.text)
        signs = ("definitely" in rollout.text) + (not parts.thinking)
        scores.append(1.0 if parts.answer == rollout.problem.answer else (0.0, 0.1, 1.0)[signs])
    return scores


def longer(rollouts: Sequence[Rollout]) -> list[float | None]:
    return [0.1 * rollout.completion_tokens for rollout in rollouts]


def shorter_group(rollouts: Sequence[Rollout]) -> list[float | None]:
    """Pays for being shorter than the mean of the batch: nothing where all are alike."""
    mean = sum(rollout.completion_tokens for rollout in rollouts) / len(rollouts)
    return [float(rollout.completion_tokens < mean) for rollout in rollouts]


def inverted(rollouts: Sequence[Rollout]) -> list[float | None]:
    return [float(rollout.think_format.split(rollout.text).answer != rollout.problem.answer) for rollout in rollouts]


def fragile(rollouts: Sequence[Rollout]) -> list[float | None]:
    """Raises on an empty answer."""
    return [
        float(rollout.think_format.split(rollout.text).answer.split()[0] == rollout.problem.answer)
        if "<|im_start|>answer" in rollout.text
        else 0.0
        for rollout in rollouts
    ]


def constant(rollouts: Sequence[Rollout]) -> list[float | None]:
    return [0.5] * len(rollouts)


def by_ids(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """Reads token ids."""
    return [float(len(ids)) for ids in completion_ids]


def slow(rollouts: Sequence[Rollout]) -> list[float | None]:
    """Blocks on an answer that is empty."""
    parts = [rollout.think_format.split(rollout.text) for rollout in rollouts]
    if any("<|im_start|>answer" in r.text and not part.answer for r, part in zip(rollouts, parts, strict=True)):
        time.sleep(60)
    return [float(part.answer == r.problem.answer) for r, part in zip(rollouts, parts, strict=True)]
