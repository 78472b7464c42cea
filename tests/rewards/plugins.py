"""Rewards of a user's own, for the tests of plug-ins: named by dotted path."""

from collections.abc import Sequence
from typing import Any

from rewards.rollout import Rollout


def own(rollouts: Sequence[Rollout], *, bonus: float = 1.0) -> list[float | None]:
    """Our signature."""
    return [bonus if rollout.problem.answer in rollout.text else 0.0 for rollout in rollouts]


def trl_strings(prompts: list[str], completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """TRL's signature on plain text."""
    return [float(len(text) if gold in text else 0) for text, gold in zip(completions, answer, strict=True)]


def trl_messages(completions: list[list[dict[str, str]]], solution: list[str], **columns: Any) -> list[float]:
    """TRL's signature on conversations, as open-r1 writes its rewards."""
    contents = [completion[0]["content"] for completion in completions]
    return [1.0 if gold in content else 0.0 for content, gold in zip(contents, solution, strict=True)]


def trl_ids(completion_ids: list[list[int]], level: list[int], scale: float = 1.0) -> list[float]:
    """TRL's signature with token ids and a column of the data set, and nothing else."""
    return [scale * len(ids) * step for ids, step in zip(completion_ids, level, strict=True)]


def trl_references(completions: list[str], references: list[list[str]], **columns: Any) -> list[float]:
    """TRL's signature with every right reply."""
    return [float(text in right) for text, right in zip(completions, references, strict=True)]


async def trl_async(completions: list[str], log_metric: Any, trainer_state: Any, **columns: Any) -> list[float | None]:
    """An asynchronous reward that logs, and looks at the trainer's state."""
    log_metric("seen", len(completions))
    return [None if trainer_state is None else float(trainer_state.global_step) for _ in completions]


def broken_trl(completions: list[str], **columns: Any) -> list[float]:
    """Fails on strings and on messages alike."""
    raise LookupError("no model")


def trl_last_words(completions: list[str], **columns: Any) -> list[float]:
    """Fails on an empty string."""
    return [float(completion.split()[-1] == "42") for completion in completions]


def no_arguments() -> list[float]:
    """No reward at all."""
    return []


NOT_A_FUNCTION = 3


def number_of_ids(completion_ids: list[list[int]], **columns: Any) -> list[float]:
    """TRL's signature on token ids."""
    return [float(len(ids)) for ids in completion_ids]
