"""`repetition`: a penalty for repeated n-grams of words, in English, Chinese (words by jieba), and both mixed.

Range: [max_penalty, 0]. Source: "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373 App. C.2) through TRL
1.14.2's `get_repetition_penalty_reward`, which is handed words here rather than token ids, as open-r1 counts them.
"""

import re
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

from data.think_format import END_OF_TURN
from rewards.rollout import Reward, Rollout

_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def repetition(*, ngram_size: int = 3, max_penalty: float = -1.0) -> Reward:
    """max_penalty · (1 - distinct n-grams / n-grams); 0 for a text shorter than one n-gram."""
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
    text = END_OF_TURN.sub("", text).lower()
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
