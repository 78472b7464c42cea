"""Rows of token ids with a loss mask, and the ledger of what a length limit costs."""

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from configs.errors import DataError

IGNORED = -100  # the label that PyTorch's cross entropy skips
Span = tuple[int, int]
"""(start, end) of some tokens."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row of SFT. `input_ids`: prompt + completion, (T,), as 32-bit integers: corpora of traces are long."""

    id: str
    input_ids: "array[int]"
    loss_spans: tuple[Span, ...]
    """The tokens that carry loss, in order: one span a reply."""
    answer_start: int
    """Index of the first token after the end of thinking."""

    @property
    def labels(self) -> list[int]:
        """`input_ids` with all that is outside of `loss_spans` ignored, (T,)."""
        labels = [IGNORED] * len(self.input_ids)
        for start, end in self.loss_spans:
            labels[start:end] = self.input_ids[start:end]
        return labels

    def cut_to(self, limit: int) -> "Example":
        """Its first `limit` tokens."""
        spans = tuple((start, min(end, limit)) for start, end in self.loss_spans if start < limit)
        return Example(self.id, self.input_ids[:limit], spans, self.answer_start)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a length limit did to a data set; `truncation.json`.

    `over_limit`: rows longer than `limit`; `tokens_lost`: their tokens past it; `lost_answer`: rows whose answer is cut
    into; `lost_end_of_thinking`: rows that would end while thinking; `left_out`: rows that the policy leaves nothing to
    train on of. `limit_p99` and `limit_max` keep 99% and 100%.
    """

    rows: int
    limit: int
    over_limit: int
    tokens_lost: int
    lost_answer: int
    lost_end_of_thinking: int
    left_out: int
    limit_p99: int
    limit_max: int
    policy: str

    def as_dict(self) -> dict[str, Any]:
        """The object that `truncation.json` holds."""
        return asdict(self)


def ledger(examples: Sequence[Example], limit: int, policy: str) -> Ledger:
    """Count what `limit` tokens would cut. Raises `DataError` for no rows at all."""
    if not examples:
        raise DataError("data: no row is left to train on; see what was rejected, or name another file")
    lengths = sorted(len(e.input_ids) for e in examples)
    over = [e for e in examples if len(e.input_ids) > limit]
    left_out = {"drop": len(over), "cut": sum(e.loss_spans[0][0] >= limit for e in over)}
    p99 = lengths[min(len(lengths) - 1, -(-99 * len(lengths) // 100) - 1)]
    return Ledger(
        rows=len(examples),
        limit=limit,
        over_limit=len(over),
        tokens_lost=sum(len(e.input_ids) - limit for e in over),
        lost_answer=len(over),  # the answer is the end of the turn, so every cut goes into it
        lost_end_of_thinking=sum(e.answer_start > limit for e in over),
        left_out=left_out.get(policy, 0),
        limit_p99=p99,
        limit_max=lengths[-1],
        policy=policy,
    )


def fit(examples: Sequence[Example], limit: int, policy: str) -> list[Example]:
    """Apply the truncation policy; under "error" rows stay as they are, and the ledger tells that they don't fit.

    A row whose cut leaves no token with loss is left out, as TRL would.
    """
    if policy == "error":
        return list(examples)
    if policy == "drop":
        return [e for e in examples if len(e.input_ids) <= limit]
    kept = [e.cut_to(limit) for e in examples]
    return [e for e in kept if e.loss_spans]


def arrow_columns(examples: Sequence[Example]) -> dict[str, Any]:
    """`input_ids` and `labels` as Arrow arrays of 32-bit lists, which TRL's trainer takes as they are."""
    import pyarrow as pa

    ids = np.concatenate([np.frombuffer(e.input_ids, np.intc) for e in examples])
    ends = np.cumsum([len(e.input_ids) for e in examples])
    labels = np.full_like(ids, IGNORED)
    for example, row_end in zip(examples, ends.tolist(), strict=True):
        row_start = row_end - len(example.input_ids)
        for start, end in example.loss_spans:
            labels[row_start + start : row_start + end] = ids[row_start + start : row_start + end]
    offsets = pa.array(np.append(0, ends), pa.int32())
    return {
        name: pa.ListArray.from_arrays(offsets, pa.array(v)) for name, v in (("input_ids", ids), ("labels", labels))
    }


def show_loss(example: Example, tokenizer: PreTrainedTokenizerBase) -> str:
    """The row as text with the parts that carry loss between ⟦ and ⟧, for a person to check."""
    ids, edges = example.input_ids.tolist(), [0, *chain.from_iterable(example.loss_spans), len(example.input_ids)]
    texts = tokenizer.batch_decode([ids[start:end] for start, end in pairwise(edges)])
    return "".join(f"⟦{text}⟧" if at % 2 else text for at, text in enumerate(texts))
