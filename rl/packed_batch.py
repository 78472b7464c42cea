"""A batch of completions as one sequence without padding, in which the prompt of a group stands once.

    prompt A | completion A1 | completion A2 | prompt B | completion B1 | …

Plain GRPO computes a prompt once per completion, and padding on top. Here nothing is computed twice and nothing is
padding; gradients flow through the shared prompt as the sum over its completions, so they are those of separate rows.
Positions go on from the prompt in every completion. Who sees whom is up to `models.packed_attention`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import torch

from models.packed_attention import Row, after_prompt


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
    rows            prompts and completions, in their order
    source          (N,) the position whose logits predict each token
    """

    ids: torch.Tensor
    positions: torch.Tensor
    rows: list[Row]
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
    rows: list[Row] = []
    source_N: list[int] = []
    target_N: list[int] = []
    row_N: list[int] = []
    column_N: list[int] = []
    for prompt, members in rows_of_prompt.items():
        of_prompt = len(rows)
        ids_L += prompt
        positions_L += range(len(prompt))
        rows.append(Row(len(prompt)))
        last_of_prompt = len(ids_L) - 1
        for row in members:
            tokens, start = completions[row], len(ids_L)
            if len(tokens) > 1:
                ids_L += tokens[:-1]
                positions_L += range(len(prompt), len(prompt) + len(tokens) - 1)
                rows.append(after_prompt(len(tokens) - 1, of_prompt, len(prompt), device))
            if len(tokens):
                # the prompt's last position predicts the first token, each token the next
                source_N += [last_of_prompt, *range(start, start + len(tokens) - 1)]
                target_N += tokens
                row_N += [row] * len(tokens)
                column_N += range(len(tokens))

    # 3. to the device in two copies, for each waits: what stands at each position, and what is predicted
    ids, positions = torch.tensor([ids_L, positions_L], dtype=torch.long).to(device)
    source, target, row_of, column = torch.tensor([source_N, target_N, row_N, column_N], dtype=torch.long).to(device)
    return Pack(ids[None], positions[None], rows, source, Places(target, row_of, column))


def without_padding(ids: torch.Tensor, mask: torch.Tensor, completion: int) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts and completions of padded rows (B, T), whose last `completion` columns are the completions'.

    Both tensors come to the host in one copy: a look at each row would wait for the device each time.
    """
    rows = list(zip(*torch.stack([ids, mask]).tolist(), strict=True))
    parts = slice(None, -completion), slice(-completion, None)
    prompts, completions = ([list(compress(row[part], kept[part])) for row, kept in rows] for part in parts)
    return prompts, completions
