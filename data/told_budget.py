"""A budget told in the prompt: rollouts and evaluations say it in the same words."""

from configs.schema.rollout_budget import PLACEHOLDER

WORDS = f"Think for up to {PLACEHOLDER} tokens."
"""s1's token-conditional control (Muennighoff et al. 2025, arXiv 2501.19393 §3.1)."""


def tell(question: str, max_thinking: int, told: bool | str = True) -> str:
    """The question with the limit after it; `told`: the words with `{max_thinking}`, True for `WORDS`."""
    words = told if isinstance(told, str) else WORDS
    return f"{question}\n\n{words.replace(PLACEHOLDER, str(max_thinking))}" if told else question
