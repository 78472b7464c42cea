"""The other ways to control thinking that budget forcing is compared with.

Source: Muennighoff et al. 2025 (arXiv 2501.19393) §3.1 and Table 3: conditioning the prompt on a length in tokens, in
steps, or in words, and rejection sampling. What stands in for "Wait" (§5.2, Table 4) is a budget's `wait_text`.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from data.told_budget import tell

Drawn = TypeVar("Drawn")


def token_conditional(question: str, tokens: int) -> str:
    """The question with an upper bound on the thinking in tokens."""
    return tell(question, tokens)


def step_conditional(question: str, steps: int) -> str:
    """The question with an upper bound on the thinking in steps; about 100 tokens each in the paper."""
    return f"{question}\n\nThink for up to {steps} steps."


def class_conditional(question: str, length: Literal["short", "long"]) -> str:
    """The question with a request to think briefly or at length."""
    return f"{question}\n\nAnswer after a {length} amount of thinking."


def rejection_sample(
    draw: Callable[[Sequence[int], int], Sequence[Drawn]],
    count: int,
    fits: Callable[[Drawn], bool],
    max_tries: int,
) -> list[tuple[Drawn | None, int]]:
    """For each of `count` problems the first sample that `fits`, and how many were drawn; None if none did.

    `draw(problems, attempt)` returns one new sample for each problem that still lacks one, so it can batch them.
    """
    found: list[tuple[Drawn | None, int]] = [(None, 0)] * count
    missing = list(range(count))
    for attempt in range(max_tries):
        if not missing:
            break
        for problem, sample in zip(missing, draw(missing, attempt), strict=True):
            found[problem] = (sample if fits(sample) else None, attempt + 1)
        missing = [problem for problem in missing if found[problem][0] is None]
    return found
