"""Draws from a policy's final distribution: temperature, min-p, top-k and top-p included, in vLLM's order.

Each draw takes one uniform that is a function of (seed, position) alone. So a text depends neither on the batch it was
decoded in nor on whether its row was moved, preempted or decoded twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from configs.schema import SamplingConfig

MASK64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
BLOCK = 256  # tokens whose weights are summed together before a token is looked for


def mix(value: int) -> int:
    """A 64-bit hash of an integer: SplitMix64's output function (Steele, Lea & Flood 2014)."""
    z = (value + GOLDEN) & MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    return z ^ (z >> 31)


def uniform(seeds: ArrayLike, positions: ArrayLike, stream: int = 0) -> np.ndarray:
    """(B,) float64 uniforms in [0, 1), one for each (64-bit seed, position); another `stream` is independent of it."""
    z = np.asarray(seeds, dtype=np.uint64) + np.uint64(mix(stream))
    for value in (np.uint64(0), np.asarray(positions, dtype=np.uint64)):
        z = (z ^ value) + np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)) * 2.0**-53


@dataclass(frozen=True, slots=True)
class Truncation:
    """What of the distribution is kept, per row; None: no row truncates that way.

    min_p, top_k, top_p: (B, 1), where 0, the vocabulary's size and 1 keep all.
    """

    min_p: torch.Tensor | None
    top_k: torch.Tensor | None
    top_p: torch.Tensor | None

    @classmethod
    def of(cls, rows: Sequence[SamplingConfig], device: torch.device | str = "cpu") -> "Truncation | None":
        """The rows' truncations, or None where no row has any."""
        min_p, top_k, top_p = [r.min_p for r in rows], [r.top_k or MASK64 >> 1 for r in rows], [r.top_p for r in rows]
        cut = (
            torch.tensor(min_p, device=device)[:, None] if any(min_p) else None,
            torch.tensor(top_k, device=device)[:, None] if any(r.top_k for r in rows) else None,
            torch.tensor(top_p, device=device)[:, None] if min(top_p) < 1 else None,
        )
        return None if cut == (None, None, None) else cls(*cut)

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits` (B, V), after the temperature, with -inf for what min-p, then top-k, then top-p drop.

        Tokens as likely as the last one kept are kept.
        """
        if self.min_p is not None:
            logits = logits.masked_fill(logits < logits.amax(1, keepdim=True) + self.min_p.log(), -torch.inf)
        if self.top_k is None and self.top_p is None:
            return logits
        ranked = logits.sort(dim=1, descending=True).values
        if self.top_k is not None:
            last = ranked.gather(1, (self.top_k - 1).clamp(max=logits.shape[1] - 1))
            logits, ranked = (x.masked_fill(x < last, -torch.inf) for x in (logits, ranked))
        if self.top_p is not None:
            above = ranked.softmax(1).cumsum(1).roll(1, 1)  # mass of the more likely tokens
            above[:, 0] = 0.0
            kept = ((above < self.top_p) | (self.top_p >= 1)).sum(1, keepdim=True)
            logits = logits.masked_fill(logits < ranked.gather(1, kept - 1), -torch.inf)
        return logits


def draw(logits: torch.Tensor, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row by inversion of the distribution function, and its log-probability.

    logits (B, V) float32, -inf where masked; uniforms (B,) float64 in [0, 1). Sums run in float64 over blocks of
    tokens, so a large vocabulary loses no rare token to rounding.
    """
    rows, vocabulary = logits.shape
    top = logits.amax(1, keepdim=True)
    weights = (logits - top).exp_()
    spare = -vocabulary % BLOCK
    if spare:
        weights = torch.nn.functional.pad(weights, (0, spare))
    blocks = weights.view(rows, -1, BLOCK)
    sums = blocks.sum(2).double().cumsum(1)  # (B, blocks)
    target = (uniforms * sums[:, -1])[:, None]
    block = torch.searchsorted(sums, target, right=True).clamp_(max=sums.shape[1] - 1)
    before = torch.where(block > 0, sums.gather(1, (block - 1).clamp(min=0)), 0.0)
    inside = blocks[torch.arange(rows, device=logits.device), block[:, 0]].double()  # (B, BLOCK)
    at = torch.searchsorted(inside.cumsum(1), target - before, right=True)
    last = BLOCK - 1 - (inside.flip(1) > 0).int().argmax(1, keepdim=True)  # rounding must not reach a masked token
    token = (block * BLOCK + torch.minimum(at, last)).flatten()
    logprob = logits.gather(1, token[:, None])[:, 0] - top[:, 0] - sums[:, -1].log().float()
    return token, logprob
