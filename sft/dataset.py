"""Rows of token ids with a loss mask, and the ledger of what a length limit costs."""

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
    is_document: bool = False
    """Whether it is a text of its own, or a piece of one, and no turn."""

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
        return replace(self, input_ids=self.input_ids[:limit], loss_spans=spans)

    def pieces(self, limit: int) -> "list[Example]":
        """A document in pieces of `limit` tokens; the last one is never a single token, which nothing predicts."""
        length = len(self.input_ids)
        starts = [at - (at == length - 1 > 0) for at in range(0, length, limit)]
        ends = [*starts[1:], length]
        parts = (self.input_ids[start:end] for start, end in zip(starts, ends, strict=True))
        return [replace(self, input_ids=part, loss_spans=((0, len(part)),)) for part in parts]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a length limit did to a data set; `truncation.json`.

    `over_limit`: rows longer than `limit`; `tokens_lost`: their tokens past it; `lost_answer`: rows whose answer is cut
    into; `lost_end_of_thinking`: rows that would end while thinking; `left_out`: rows that the policy leaves nothing to
    train on of; `split`: documents that are in `pieces` instead, and lose nothing. `limit_p99` and `limit_max` keep 99%
    and 100%.
    """

    rows: int
    limit: int
    over_limit: int
    tokens_lost: int
    lost_answer: int
    lost_end_of_thinking: int
    left_out: int
    split: int
    pieces: int
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
    long = [e for e in examples if len(e.input_ids) > limit]
    split = [e for e in long if e.is_document]
    over = [e for e in long if not e.is_document]
    left_out = {"drop": len(over), "cut": sum(e.loss_spans[0][0] >= limit for e in over)}
    p99 = lengths[min(len(lengths) - 1, -(-99 * len(lengths) // 100) - 1)]
    return Ledger(
        rows=len(examples),
        limit=limit,
        over_limit=len(long),
        tokens_lost=sum(len(e.input_ids) - limit for e in over),
        lost_answer=len(over),  # the answer is the end of the turn, so every cut goes into it
        lost_end_of_thinking=sum(e.answer_start > limit for e in over),
        left_out=left_out.get(policy, 0),
        split=len(split),
        pieces=sum(len(e.pieces(limit)) for e in split),
        limit_p99=p99,
        limit_max=lengths[-1],
        policy=policy,
    )


def fit(examples: Sequence[Example], limit: int, policy: str) -> list[Example]:
    """Apply the truncation policy; under "error" rows stay as they are, and the ledger tells that they don't fit.

    A document is split instead, which loses nothing. A row whose cut leaves no token with loss is left out, as TRL
    would.
    """
    fitted = chain.from_iterable(_fitted(example, limit, policy) for example in examples)
    return [example for example in fitted if example.loss_spans]


def _fitted(example: Example, limit: int, policy: str) -> list[Example]:
    if len(example.input_ids) <= limit:
        return [example]
    if example.is_document:
        return example.pieces(limit)
    return {"error": [example], "drop": [], "cut": [example.cut_to(limit)]}[policy]


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
