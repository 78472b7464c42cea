"""Traces → token ids with a loss mask, and the ledger of what a length limit would have cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from configs.errors import DataError
from data.problem import Trace
from data.prompts import render_turn
from data.think import ThinkFormat

IGNORED = -100  # the label that PyTorch's cross entropy skips


@dataclass(frozen=True, slots=True)
class Example:
    """One row of SFT. `input_ids`: prompt + completion, (T,); `labels`: the same with the prompt ignored, (T,)."""

    id: str
    input_ids: list[int]
    labels: list[int]
    answer_start: int
    """Index of the first token after the end of thinking."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a length limit did to a data set; `truncation.json`.

    `over_limit`: rows longer than `limit`; `tokens_lost`: their tokens past it; `lost_answer`: rows whose answer is cut
    into; `lost_end_of_thinking`: rows that would end while thinking. `limit_p99` and `limit_max` keep 99% and 100%.
    """

    rows: int
    limit: int
    over_limit: int
    tokens_lost: int
    lost_answer: int
    lost_end_of_thinking: int
    limit_p99: int
    limit_max: int
    policy: str

    def as_dict(self) -> dict[str, Any]:
        """The object that `truncation.json` holds."""
        return asdict(self)


def encode(trace: Trace, tokenizer: Any, think_format: ThinkFormat) -> Example:
    """One trace as token ids; loss on thinking, answer and the end of the turn, none on the prompt.

    Prompt and completion are tokenised apart, exactly as they meet at inference.
    """
    prompt, completion = render_turn(tokenizer, trace, think_format)
    thought = completion[: completion.rindex(think_format.end) + len(think_format.end)] if trace.thinking else ""
    ids = tokenizer([prompt, completion, thought], add_special_tokens=False)["input_ids"]
    if not ids[1]:
        raise DataError(f"row {trace.id}: nothing to train on, its completion is empty")
    labels = [IGNORED] * len(ids[0]) + ids[1]
    return Example(trace.id, ids[0] + ids[1], labels, answer_start=len(ids[0]) + len(ids[2]))


def ledger(examples: Sequence[Example], limit: int, policy: str) -> Ledger:
    """Count what `limit` tokens would cut."""
    lengths = sorted(len(e.input_ids) for e in examples)
    over = [e for e in examples if len(e.input_ids) > limit]
    p99 = lengths[min(len(lengths) - 1, -(-99 * len(lengths) // 100) - 1)]
    return Ledger(
        rows=len(examples),
        limit=limit,
        over_limit=len(over),
        tokens_lost=sum(len(e.input_ids) - limit for e in over),
        lost_answer=len(over),  # the answer is the end of the turn, so every cut goes into it
        lost_end_of_thinking=sum(e.answer_start > limit for e in over),
        limit_p99=p99,
        limit_max=lengths[-1],
        policy=policy,
    )


def fit(examples: Sequence[Example], limit: int, policy: str) -> list[Example]:
    """Apply the truncation policy; "error" raises `DataError` with the row and the limit that would do."""
    over = [e for e in examples if len(e.input_ids) > limit]
    if over and policy == "error":
        longest = max(over, key=lambda e: len(e.input_ids))
        raise DataError(
            f"{len(over)} of {len(examples)} rows are longer than model.max_length={limit} (row {longest.id}: "
            f"{len(longest.input_ids)} tokens); raise the limit, or say what to lose: truncation=drop or truncation=cut"
        )
    if policy == "drop":
        return [e for e in examples if len(e.input_ids) <= limit]
    return [Example(e.id, e.input_ids[:limit], e.labels[:limit], e.answer_start) for e in examples]


def show_loss(example: Example, tokenizer: Any) -> str:
    """The row as text with the part that carries loss between ⟦ and ⟧, for a person to check."""
    start = next((i for i, label in enumerate(example.labels) if label != IGNORED), len(example.labels))
    prompt, trained = tokenizer.batch_decode([example.input_ids[:start], example.input_ids[start:]])
    return f"{prompt}⟦{trained}⟧"
