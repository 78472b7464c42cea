"""Rewards for the writing: `reasoning_steps`, `repetition`."""

import re
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

from data.turn_reader import without_any_end_of_turn
from rewards.grading.extract import extract
from rewards.rollout import Reward, Rollout

_STEP = re.compile(
    r"\bStep \d+:|^[^\S\n]*\d+[.)、]\s|^[^\S\n]*[-*•]\s|\b(?:First|Second|Third|Next|Then|Finally)(?:ly)?,"
    r"|第[一二三四五六七八九十\d]+步|首先|其次|然后|接着|最后",
    re.MULTILINE,
)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def reasoning_steps(*, target: int = 3) -> Reward:
    """`reasoning_steps`: whether the thinking goes step by step, by its markers.

    Markers are read in English and Chinese. 1.0 from `target` markers on, in proportion below.

    Range: [0, 1]. Source: open-r1's `reasoning_steps_reward`: "Step 1:", "1.", bullets, "First," and so on, full score
    from three on. Only the thinking is searched, so that an answer in bullets earns nothing.
    """
    if target < 1:
        raise ValueError(f"target {target} is below 1")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [min(1.0, markers(rollout) / target) for rollout in rollouts]

    return reward


def markers(rollout: Rollout) -> int:
    """How many step markers the thinking has."""
    return len(_STEP.findall(extract(rollout.text, rollout.think_format).thinking or ""))


def repetition(*, ngram_size: int = 3, max_penalty: float = -1.0) -> Reward:
    """`repetition`: a penalty for repeated n-grams of words.

    English, Chinese (words by jieba), and both mixed. max_penalty · (1 - distinct n-grams / n-grams); 0 for a text
    shorter than one n-gram.

    Range: [max_penalty, 0]. Source: "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373 App. C.2) through
    TRL 1.14.2's `get_repetition_penalty_reward`, which is handed words here rather than token ids, as open-r1 counts
    them.
    """
    if ngram_size < 1:
        raise ValueError(f"ngram_size {ngram_size} is below 1")
    if max_penalty > 0:
        raise ValueError(f"max_penalty {max_penalty} is above 0")

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        from trl.rewards import get_repetition_penalty_reward  # light, but of no use to `--help`

        penalty = get_repetition_penalty_reward(ngram_size, max_penalty)
        scores: list[float | None] = penalty(completion_ids=[words(rollout.text) for rollout in rollouts])
        return scores

    return reward


def words(text: str) -> list[str]:
    """The words of a text without the end of its turn, in lower case."""
    text = without_any_end_of_turn(text).lower()
    if not _CHINESE.search(text):
        return text.split()
    return [word for word in _jieba().cut(text) if not word.isspace()]


@cache
def _jieba() -> Any:
    """jieba with its dictionary loaded, without its banner and its import warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba

        jieba.setLogLevel("WARNING")
        jieba.initialize()
    return jieba
