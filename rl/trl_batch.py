"""TRL's batches of completions: rows left out, columns cut, rows of a prompt brought together."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from models.teacher_forcing import Pair

PER_TOKEN = (
    "advantages",
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "old_per_token_logps",
    "sampling_per_token_logps",
    "ref_per_token_logps",
    "importance_sampling_ratio",
)
"""What TRL's batch holds for each completion token, (B, T); advantages are (B,) without a teacher."""

TrlBatch = dict[str, Any]
"""One micro-batch, or a whole generation, as TRL's trainer holds it: tensors by name, (B, …)."""


def select_rows(inputs: TrlBatch, rows: torch.Tensor) -> TrlBatch:
    """The same batch with only `rows` of every tensor that has one entry a row."""
    size = len(inputs["advantages"])
    return {
        key: value[rows] if isinstance(value, torch.Tensor) and value.dim() and len(value) == size else value
        for key, value in inputs.items()
    }


def trimmed(inputs: TrlBatch) -> TrlBatch:
    """The same batch without columns that are padding in every row: left of the prompts, right of the completions."""
    width = inputs["completion_ids"].shape[1]
    masks = inputs["prompt_mask"], inputs["completion_mask"]
    prompt, completion = torch.stack([mask.sum(1).max() for mask in masks]).tolist()  # in one copy to the host
    completion = max(completion, 1)
    cut = {key: inputs[key][:, -prompt:] for key in ("prompt_ids", "prompt_mask")}
    for key in PER_TOKEN:
        value = inputs.get(key)
        if isinstance(value, torch.Tensor) and value.dim() == 2 and value.shape[1] == width:
            cut[key] = value[:, :completion]
    return inputs | cut


def loss_mask(inputs: TrlBatch) -> torch.Tensor:
    """(B, T): completion tokens that the policy chose and that count."""
    mask: torch.Tensor = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask


def teaches(inputs: TrlBatch) -> torch.Tensor:
    """(B,) bool: rows that a loss without KL and entropy terms depends on."""
    advantages, mask = inputs["advantages"], loss_mask(inputs).bool()
    useful: torch.Tensor = ((advantages if advantages.dim() == 2 else advantages[:, None]) != 0) & mask
    return useful.any(1)


def padded(pairs: Sequence[Pair], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, int]:
    """(ids (B, P + T), mask, T) of (prompt ids, completion ids), padded left of the one and right of the other."""
    ids, masks = [], []
    for rows, side in zip(zip(*pairs, strict=True), ("left", "right"), strict=True):
        tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
        ids.append(pad_sequence(tensors, batch_first=True, padding_value=pad, padding_side=side))
        masks.append(pad_sequence([torch.ones_like(row) for row in tensors], batch_first=True, padding_side=side))
    return torch.cat(ids, 1).to(device), torch.cat(masks, 1).to(device), ids[1].shape[1]


def regrouped(batches: Sequence[TrlBatch], window: int, by_tokens: bool = False) -> list[TrlBatch]:
    """The same rows, those of a prompt side by side and those that teach nothing last, within every `window` batches.

    For losses that add up over an accumulation window, whichever batch a row is in. `by_tokens`: batches hold as many
    tokens as they would with padding, and as many rows as that may be: for losses that are sums over tokens.
    """
    windows = [batches[at : at + window] for at in range(0, len(batches), window)]
    return [batch for part in windows for batch in _regrouped(part, by_tokens)]


def _regrouped(batches: Sequence[TrlBatch], by_tokens: bool) -> list[TrlBatch]:
    whole = {
        key: torch.cat([batch[key] for batch in batches]) if isinstance(value, torch.Tensor) and value.dim() else value
        for key, value in batches[0].items()
    }
    useful = teaches(whole).tolist()
    prompts = [tuple(row) for row in whole["prompt_ids"].tolist()]
    first: dict[tuple[int, ...], int] = {}
    for at, prompt in enumerate(prompts):
        first.setdefault(prompt, at)
    order = sorted(range(len(prompts)), key=lambda at: (not useful[at], first[prompts[at]]))
    rows = torch.tensor(order, device=whole["advantages"].device)
    if not by_tokens:
        return [select_rows(whole, part) for part in rows.chunk(len(batches))]
    tokens = (whole["prompt_mask"].sum(1) + whole["completion_mask"].sum(1))[rows].tolist()
    most = max(tokens) * -(-len(order) // len(batches))
    return [select_rows(whole, part) for part in rows.split(filled(tokens, most, len(batches)))]


def filled(sizes: Sequence[int], most: int, parts: int) -> list[int]:
    """How many of the things of such sizes, in their order, go into each of `parts`: up to `most`, and at least one.

    They fit where `most` is that of the largest times a part's share of their number.
    """
    counts, left = [], list(sizes)
    for after in reversed(range(parts)):
        room = sum(size <= most for size in accumulate(left[: len(left) - after])) if after else len(left)
        counts.append(max(room, 1))
        left = left[counts[-1] :]
    return counts
