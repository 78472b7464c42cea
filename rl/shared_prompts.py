"""A group's prompt computed once: prompt and completions in one row, where a completion sees the prompt and itself.

    prompt A | completion A1 | completion A2 | prompt B | completion B1 | …

Plain GRPO computes a prompt once per completion, and padding on top. Here nothing is computed twice and nothing is
padding; gradients flow through the shared prompt as the sum over its completions, so they are those of separate rows.
Positions go on from the prompt in every completion. Needs attention that takes a mask of our own (SDPA).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows of a batch as one sequence of L positions; N completion tokens are to be predicted.

    ids, positions  (1, L)
    mask            (1, 1, L, L) bool: who sees whom
    source          (N,) the position whose logits predict each token
    target          (N,) the tokens
    row, column     (N,) where each token stands in the batch's completions
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor
    row: torch.Tensor
    column: torch.Tensor


def pack(prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], device: Any = "cpu") -> Pack:
    """One pack of rows without padding; equal prompts are put there once. A completion's last token is no input."""
    ids: list[int] = []
    positions: list[int] = []
    prompt_of: list[int] = []
    row_of: list[int] = []  # -1: the prompt, which its completions see
    source: list[int] = []
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, prompt in enumerate(prompts):
        groups.setdefault(tuple(prompt), []).append(row)
    order: list[tuple[int, int]] = []
    for number, (prompt, rows) in enumerate(groups.items()):
        first = len(ids)
        for row, tokens in [(-1, prompt), *((row, completions[row][:-1]) for row in rows)]:
            start = len(ids)
            offset = 0 if row < 0 else len(prompt)
            ids += tokens
            positions += range(offset, offset + len(tokens))
            prompt_of += [number] * len(tokens)
            row_of += [row] * len(tokens)
            if row >= 0 and len(completions[row]):
                source += [first + len(prompt) - 1, *range(start, start + len(tokens))]
                order += [(row, column) for column in range(len(completions[row]))]
    prompt_at, row_at = (torch.tensor(values, device=device) for values in (prompt_of, row_of))
    same_prompt = prompt_at[:, None] == prompt_at
    visible = same_prompt & ((row_at == -1) | (row_at[:, None] == row_at))
    target = [completions[row][column] for row, column in order]
    places = torch.tensor(order, device=device).reshape(-1, 2)
    return Pack(
        ids=torch.tensor([ids], device=device),
        positions=torch.tensor([positions], device=device),
        mask=visible.tril()[None, None],
        source=torch.tensor(source, device=device),
        target=torch.tensor(target, device=device),
        row=places[:, 0],
        column=places[:, 1],
    )


def without_padding(ids: torch.Tensor, mask: torch.Tensor) -> list[list[int]]:
    """The tokens of each row, (B, T) → B lists."""
    return [row[kept].tolist() for row, kept in zip(ids, mask.bool(), strict=True)]


def is_cheaper(prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], width: int) -> bool:
    """Whether one packed row costs less than padded ones, for hidden states of `width`.

    Per position and layer the linear maps cost about 24·width² operations and attention 4·width·(what it sees): a long
    pack pays for pairs that its mask hides.
    """
    shared = {tuple(prompt) for prompt in prompts}
    packed = sum(map(len, shared)) + sum(map(len, completions))
    padded = max(map(len, prompts)) + max(map(len, completions))
    return packed * (6 * width + packed) < len(prompts) * padded * (6 * width + padded)


def can_pack(model: Any) -> bool:
    """Whether `model`'s attention takes our mask and our positions, in every layer."""
    config = model.config.get_text_config()
    layers = getattr(config, "layer_types", None) or []
    return (
        getattr(config, "_attn_implementation", None) == "sdpa"
        and getattr(config, "rope_parameters", None) is not None
        and all(layer == "full_attention" for layer in layers)
        and (bool(layers) or getattr(config, "sliding_window", None) is None)
    )
