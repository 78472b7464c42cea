"""A sequence that others branch off, on the Transformers engine: its keys and values, copied, not computed anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Trunk:
    """Its ids, and of each layer the keys and values (1, heads, T, d) of these."""

    ids: tuple[int, ...]
    layers: Sequence[tuple[torch.Tensor, torch.Tensor]]

    @classmethod
    def of(cls, ids: tuple[int, ...], cache: Any, row: int, columns: slice) -> "Trunk":
        """A copy of what stands in these columns of a row of `cache`."""
        at = (slice(row, row + 1), slice(None), columns)
        return cls(ids, [(layer.keys[at].clone(), layer.values[at].clone()) for layer in cache.layers])

    def shared(self, known: Sequence[int]) -> int:
        """How many of the first ids are its own too, short of the last one, after which something has to come."""
        pairs = enumerate(zip(self.ids, known[:-1], strict=False))
        return next((at for at, (mine, theirs) in pairs if mine != theirs), min(len(self.ids), len(known) - 1))


def fork(trunks: Sequence[Trunk], kept: Sequence[int], cache: Any) -> None:
    """Into the fresh `cache` the first `kept` positions of each trunk, side by side, padded on their left."""
    width = max(kept)
    for number, layer in enumerate(cache.layers):
        pairs = [(trunk.layers[number], length) for trunk, length in zip(trunks, kept, strict=True)]
        layer.lazy_initialization(*pairs[0][0])
        layer.replace(
            torch.cat([left_pad(keys[:, :, :length], width) for (keys, _), length in pairs]),
            torch.cat([left_pad(values[:, :, :length], width) for (_, values), length in pairs]),
        )


def left_pad(states: torch.Tensor, width: int) -> torch.Tensor:
    """(B, heads, T, d) with zeros in front, up to `width` positions."""
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[-2], 0))
