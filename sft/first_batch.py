"""The first batch, looked at before it is trained on: which tokens carry loss, and that rows don't see each other."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.errors import DataError, ModelError
from configs.schema.sft import TrainedTokens
from sft.dataset import IGNORED, Example

TokenBatch = dict[str, torch.Tensor]
PARTS: dict[TrainedTokens, str] = {
    "last_turn": "thinking, answer and end of turn",
    "all_turns": "every reply of a conversation, ends of turn included",
    "every_token": "every token",
}
"""What carries loss, in words."""
LEAK = 0.1
"""Nats a token that a packed row's loss may differ from its loss alone; bf16 noise stays far below."""


def documents(batch: TokenBatch) -> list[tuple[list[int], list[int]]]:
    """(token ids, labels) of every row in the batch, padding left out and packed rows taken apart."""
    if "position_ids" in batch:
        starts = (batch["position_ids"][0] == 0).nonzero()[:, 0].tolist()
        spans = zip(starts, [*starts[1:], batch["input_ids"].shape[1]], strict=True)
        rows = [(a, b) for a, b in spans if b - a > 1]  # `pad_to_multiple_of` pads with tokens at position 0
        return [(batch["input_ids"][0, a:b].tolist(), batch["labels"][0, a:b].tolist()) for a, b in rows]
    keep = batch["attention_mask"].bool()
    return [
        (ids[mask].tolist(), labels[mask].tolist())
        for ids, labels, mask in zip(batch["input_ids"], batch["labels"], keep, strict=True)
    ]


def check_loss(
    batch: TokenBatch,
    prepared: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    end_of_turn: Sequence[int],
    trained: TrainedTokens,
    cut: bool,
) -> str:
    """A line that says how much of the batch carries loss.

    Raises `DataError` where a row is none of the `prepared` ones, has no loss, loss where none was prepared, a label
    that is another token, no loss on the end of its turn (unless rows may be `cut`), or on part of a reply: a model
    trained on such a batch learns nothing, to ask instead of to answer, or never to stop.
    """
    # 1. each row of the batch as it was prepared
    rows = documents(batch)
    known = _prepared([ids for ids, _ in rows], prepared)

    # 2. a fault of any row stops the run
    for number, (ids, labels) in enumerate(rows, start=1):
        example = known.get(tuple(ids))
        text = tokenizer.decode(ids[:40])
        kept = [label for label in labels if label != IGNORED]
        if example is None:
            fault = "it is none of the rows that were prepared"
        elif not kept:
            fault = "nothing in it carries loss"
        elif any(label not in (IGNORED, token) for token, label in zip(ids, labels, strict=True)):
            fault = "a label is not its token"
        elif any(label != IGNORED == other for label, other in zip(labels, example.labels, strict=True)):
            fault = "its prompt carries loss"
        elif not (cut or example.is_document) and kept[-len(end_of_turn) :] != list(end_of_turn):
            fault = "the end of its turn carries no loss"
        elif labels[1:] != example.labels[1:]:  # nothing predicts a row's first token, and packing leaves it out
            fault = "a part of its replies carries no loss"
        else:
            continue
        raise DataError(f"row {number} of the first batch: {fault}: {text!r}; report it, with the recipe")

    # 3. the count
    tokens, trained_tokens = (sum(len(part) for part in parts) for parts in zip(*_loss(rows), strict=True))
    part = "every token" if all(example.is_document for example in known.values()) else PARTS[trained]
    return f"first batch: {len(rows)} rows, {tokens} tokens; {trained_tokens} carry loss ({part})"


def _prepared(rows: Sequence[list[int]], prepared: Sequence[Example]) -> dict[tuple[int, ...], Example]:
    """`rows` that are among the `prepared` ones → these."""
    wanted, lengths = {tuple(row) for row in rows}, {len(row) for row in rows}
    same_length = (example for example in prepared if len(example.input_ids) in lengths)
    return {key: example for example in same_length if (key := tuple(example.input_ids)) in wanted}


def _loss(rows: Sequence[tuple[list[int], list[int]]]) -> list[tuple[list[int], list[int]]]:
    return [(ids, [label for label in labels if label != IGNORED]) for ids, labels in rows]


def check_packing(batch: TokenBatch, model: PreTrainedModel) -> str:
    """A line that says that the second row of a packed batch has the loss that it has alone, to within `LEAK`.

    Raises `ModelError` where it differs: then the model's attention lets packed rows see each other.
    """
    rows = documents(batch)
    if len(rows) < 2:
        return "packing: one row in the first batch"

    # 1. the second row in its place behind the first, and alone
    first, (ids, labels) = len(rows[0][0]), rows[1]
    device, training = next(model.parameters()).device, model.training
    targets = torch.tensor([labels], device=device)
    model.eval()
    with torch.no_grad():
        both = {key: batch[key][:, : first + len(ids)].to(device) for key in ("input_ids", "position_ids")}
        if "packed_seq_lengths" in batch:  # Unsloth's attention goes by them, not by positions
            both["packed_seq_lengths"] = batch["packed_seq_lengths"][:2]
        packed = model(**both, use_cache=False).logits[:, first:]
        alone = model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits
    model.train(training)

    # 2. its loss both times
    losses = [
        torch.nn.functional.cross_entropy(logits[0, :-1].float(), targets[0, 1:], ignore_index=IGNORED).item()
        for logits in (packed, alone)
    ]
    if abs(losses[0] - losses[1]) > LEAK:
        raise ModelError(
            f"trainer.packing: a packed row has loss {losses[0]:.3f}, alone {losses[1]:.3f}: this model's attention "
            "lets packed rows see each other; set trainer.packing=false"
        )
    return f"packing: the second row's loss is {losses[0]:.4f} packed and {losses[1]:.4f} alone"
