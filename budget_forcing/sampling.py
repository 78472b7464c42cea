"""Draws from a policy's final distribution: temperature, min-p, top-k and top-p included, in vLLM's order.

Each draw takes one uniform that is a function of (seed, position) alone. So a text depends neither on the batch it was
decoded in nor on whether its row was moved, preempted or decoded twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from configs.schema.sections import SamplingConfig

MASK64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # SplitMix64's multipliers
REDRAW = 1  # the stream of uniforms for a second draw at one position
BLOCK = 256  # tokens that race as one first
CANDIDATES = 1024  # likeliest tokens that are sorted first, in the hope that a truncation keeps no more


def mix(value: int) -> int:
    """A 64-bit hash of an integer: SplitMix64's output function (Steele, Lea & Flood 2014)."""
    z = (value + GOLDEN) & MASK64
    z = ((z ^ (z >> 30)) * FIRST) & MASK64
    z = ((z ^ (z >> 27)) * SECOND) & MASK64
    return z ^ (z >> 31)


def uniform(seeds: ArrayLike, positions: ArrayLike, stream: int = 0) -> np.ndarray:
    """(B,) float64 uniforms in [0, 1), one for each (64-bit seed, position); another `stream` is independent of it."""
    z = np.asarray(seeds, dtype=np.uint64) + np.uint64(mix(stream))
    for value in (np.uint64(0), np.asarray(positions, dtype=np.uint64)):
        z = (z ^ value) + np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)) * 2.0**-53


@dataclass(frozen=True, slots=True)
class Truncation:
    """What of the distribution is kept, per row; None: no row truncates that way.

    min_p, top_k, top_p: (B, 1), or (1, 1) for rows that are all alike; 0, the vocabulary's size and 1 keep all.
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
        ranked = self._ranked(logits)
        if self.top_k is not None:
            place = (self.top_k - 1).clamp(max=logits.shape[1] - 1)
            last = ranked.gather(1, place.expand(len(logits), 1))
            logits, ranked = (x.masked_fill(x < last, -torch.inf) for x in (logits, ranked))
        if self.top_p is not None:
            mass = (ranked - logits.logsumexp(1, keepdim=True)).exp()
            above = mass.cumsum(1).roll(1, 1)  # mass of the more likely tokens
            above[:, 0] = 0.0
            kept = ((above < self.top_p) | (self.top_p >= 1)).sum(1, keepdim=True)
            logits = logits.masked_fill(logits < ranked.gather(1, kept - 1), -torch.inf)
        return logits

    def _ranked(self, logits: torch.Tensor) -> torch.Tensor:
        """(B, N) the likeliest logits in falling order, all that may be kept: to sort all V takes most of the time."""
        first = logits.topk(min(CANDIDATES, logits.shape[1]), dim=1).values
        if self.top_k is not None:
            is_enough = self.top_k <= first.shape[1]
        elif self.top_p is not None:
            mass = (first - logits.logsumexp(1, keepdim=True)).exp().sum(1, keepdim=True)
            is_enough = (self.top_p < 1) & (mass > self.top_p)
        return first if is_enough.all() else logits.sort(dim=1, descending=True).values


def dropped(scaled: torch.Tensor, kept: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(B, V) bool: what a truncation drops that leaves `kept` of `scaled` logits, both (B, V).

    It never drops `tokens` (B,): where one of them is less likely than all that is kept, whatever is as likely is too.
    """
    least = kept.masked_fill(kept == -torch.inf, torch.inf).amin(1, keepdim=True)
    return scaled < torch.minimum(least, scaled.gather(1, tokens[:, None]))


def policy_logprobs(scaled: torch.Tensor, kept: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(B,) log-probabilities of `tokens` (B,), however they were drawn, among what is not `dropped`."""
    chosen = scaled.gather(1, tokens[:, None])[:, 0]
    return chosen - scaled.masked_fill(dropped(scaled, kept, tokens), -torch.inf).logsumexp(1)


def draw_tokens(logits: torch.Tensor, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row, and its log-probability.

    logits (B, V) float32, -inf where masked; uniforms (B,) float64 in [0, 1), all chance there is. First a block of
    tokens wins a race, then a token inside it. Another batch size changes logits by 1e-5, and draws as rarely: if the
    distribution function were inverted instead, the tokens of a long tail would shift under the uniform.
    """
    rows, vocabulary = logits.shape
    top = logits.amax(1, keepdim=True)
    weights = (logits - top).exp_()
    spare = -vocabulary % BLOCK
    if spare:
        weights = torch.nn.functional.pad(weights, (0, spare))
    blocks = weights.view(rows, -1, BLOCK)
    sums = blocks.sum(2).double()  # (B, blocks)
    keys = (uniforms * 2.0**53).long()
    block = _race(sums, keys, 0)
    inside = blocks[torch.arange(rows, device=logits.device), block].double()  # (B, BLOCK)
    token = block * BLOCK + _race(inside, keys, sums.shape[1])
    logprob = logits.gather(1, token[:, None])[:, 0] - top[:, 0] - sums.sum(1).log().float()
    return token, logprob


def _race(weights: torch.Tensor, keys: torch.Tensor, first: int) -> torch.Tensor:
    """(B,) which of (B, N) weights wins, each with its share's probability: exponential arrivals, the earliest counts.

    Arrival i comes from a hash (SplitMix64) of the row's key and `first` + i.
    """
    lanes = torch.arange(first + 1, first + 1 + weights.shape[1], device=weights.device)
    z = _hashed(_hashed(keys)[:, None] + lanes * _signed(GOLDEN))
    chance = (_shifted(z, 11) + 0.5) * 2.0**-53  # in (0, 1)
    winner: torch.Tensor = (-chance.log() / weights).argmin(1)
    return winner


def _hashed(z: torch.Tensor) -> torch.Tensor:
    z = (z ^ _shifted(z, 30)) * _signed(FIRST)
    z = (z ^ _shifted(z, 27)) * _signed(SECOND)
    return z ^ _shifted(z, 31)


def _signed(value: int) -> int:
    """Torch's integers have a sign; modulo 2^64 they multiply alike."""
    return value - (1 << 64)


def _shifted(z: torch.Tensor, by: int) -> torch.Tensor:
    """`z` >> `by` as if unsigned."""
    return (z >> by) & ((1 << (64 - by)) - 1)
