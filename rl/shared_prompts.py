"""A group's prompt computed once: prompt and completions in one row, where a completion sees the prompt and itself.

    prompt A | completion A1 | completion A2 | prompt B | completion B1 | …

Plain GRPO computes a prompt once per completion, and padding on top. Here nothing is computed twice and nothing is
padding; gradients flow through the shared prompt as the sum over its completions, so they are those of separate rows.
Positions go on from the prompt in every completion. Needs attention that takes a mask of our own (SDPA).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import torch
from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Places:
    """The N completion tokens of a batch: which they are, and where in the batch's completions each stands; (N,)."""

    target: torch.Tensor
    row: torch.Tensor
    column: torch.Tensor


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows of a batch as one sequence of L positions; N completion tokens are to be predicted.

    ids, positions  (1, L)
    mask            (1, 1, L, L) bool: who sees whom
    source          (N,) the position whose logits predict each token
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    source: torch.Tensor
    places: Places


def places_of(completions: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> Places:
    """The tokens of completions without padding, row by row."""
    found = [(token, row, column) for row, tokens in enumerate(completions) for column, token in enumerate(tokens)]
    target, row_N, column_N = torch.tensor(found, dtype=torch.long).reshape(-1, 3).T.to(device)
    return Places(target, row_N, column_N)


def pack(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], device: torch.device | str = "cpu"
) -> Pack:
    """One pack of rows without padding; equal prompts are put there once. A completion's last token is no input."""
    # 1. rows of the same prompt form a group
    rows_of_prompt: dict[tuple[int, ...], list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows_of_prompt.setdefault(tuple(prompt), []).append(row)

    # 2. one sequence: each prompt once, its completions after it; a completion's positions go on from the prompt's end
    ids_L: list[int] = []
    positions_L: list[int] = []
    group_L: list[int] = []
    row_L: list[int] = []  # -1: a prompt, which all of its completions see
    source_N: list[int] = []
    target_N: list[int] = []
    row_N: list[int] = []
    column_N: list[int] = []
    for group, (prompt, rows) in enumerate(rows_of_prompt.items()):
        last_of_prompt = len(ids_L) + len(prompt) - 1
        for row, tokens in [(-1, prompt), *((row, completions[row][:-1]) for row in rows)]:
            start = len(ids_L)
            offset = 0 if row < 0 else len(prompt)
            ids_L += tokens
            positions_L += range(offset, offset + len(tokens))
            group_L += [group] * len(tokens)
            row_L += [row] * len(tokens)
            if row >= 0 and len(completions[row]):
                # the prompt's last position predicts the first token, each token the next
                source_N += [last_of_prompt, *range(start, start + len(tokens))]
                target_N += completions[row]
                row_N += [row] * len(completions[row])
                column_N += range(len(completions[row]))

    # 3. to the device in two copies, for each waits: what stands at each position, and what is predicted
    ids, positions, group, row_at = torch.tensor([ids_L, positions_L, group_L, row_L], dtype=torch.long).to(device)
    source, target, row_of, column = torch.tensor([source_N, target_N, row_N, column_N], dtype=torch.long).to(device)

    # 4. who sees whom: what came before, of the same group, and of it the prompt and the token's own row
    is_same_group_LL = group[:, None] == group
    is_visible_LL = is_same_group_LL & ((row_at == -1) | (row_at[:, None] == row_at))
    return Pack(
        ids=ids[None],
        positions=positions[None],
        mask=is_visible_LL.tril()[None, None],
        source=source,
        places=Places(target, row_of, column),
    )


def without_padding(ids: torch.Tensor, mask: torch.Tensor, completion: int) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts and completions of padded rows (B, T), whose last `completion` columns are the completions'.

    Both tensors come to the host in one copy: a look at each row would wait for the device each time.
    """
    rows = list(zip(*torch.stack([ids, mask]).tolist(), strict=True))
    parts = slice(None, -completion), slice(-completion, None)
    prompts, completions = ([list(compress(row[part], kept[part])) for row, kept in rows] for part in parts)
    return prompts, completions


def is_cheaper(prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], width: int) -> bool:
    """Whether one packed row costs less than padded ones, for hidden states of `width`.

    Per position and layer the linear maps cost about 24·width² operations and attention 4·width·(what it sees): a long
    pack pays for pairs that its mask hides.
    """
    shared = {tuple(prompt) for prompt in prompts}
    packed = sum(map(len, shared)) + sum(map(len, completions))
    padded = max(map(len, prompts)) + max(map(len, completions))
    return packed * (6 * width + packed) < len(prompts) * padded * (6 * width + padded)


def can_pack(model: PreTrainedModel) -> bool:
    """Whether `model`'s attention takes our mask and our positions, in every layer."""
    config = model.config.get_text_config()
    layers = getattr(config, "layer_types", None) or []
    return (
        getattr(config, "_attn_implementation", None) == "sdpa"
        and getattr(config, "rope_parameters", None) is not None
        and all(layer == "full_attention" for layer in layers)
        and (bool(layers) or getattr(config, "sliding_window", None) is None)
    )
