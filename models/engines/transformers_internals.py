"""What is used of Transformers 5.17 that it does not promise: a cache's layers, pinned in its test."""

from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from configs.errors import EngineError
from models.backend import NEEDS_VLLM
from models.protocols import CausalLM

ROOM = 64  # positions that a cache buffer grows by


class GrowingLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed here
    """A layer's keys and values in a buffer with room, so that a new token copies nothing but itself."""

    keys: torch.Tensor
    values: torch.Tensor
    buffers: tuple[torch.Tensor, torch.Tensor]

    def update(self, keys: torch.Tensor, values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """See `DynamicLayer.update`; the tensors returned are views of the buffers."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
            self.replace(keys, values)
            return self.keys, self.values
        length = self.keys.shape[-2]
        total = length + keys.shape[-2]
        if total > self.buffers[0].shape[-2]:
            self.replace(self.keys, self.values, total)
        for buffer, new in zip(self.buffers, (keys, values), strict=True):
            buffer[:, :, length:total] = new
        self.keys, self.values = (buffer[:, :, :total] for buffer in self.buffers)
        return self.keys, self.values

    def select(self, rows: torch.Tensor, first: int = 0) -> None:
        """Keep these rows, in this order, from position `first` on; a layer may lie on another GPU than `rows`."""
        rows = rows.to(self.keys.device)
        self.replace(self.keys[rows, :, first:], self.values[rows, :, first:])

    def replace(self, keys: torch.Tensor, values: torch.Tensor, total: int = 0) -> None:
        """Hold `keys` and `values` (B, heads, T, d), in new buffers with room for `total` + ROOM positions."""
        length = keys.shape[-2]
        shape = (*keys.shape[:2], max(total, length) + ROOM, keys.shape[-1])
        self.buffers = keys.new_zeros(shape), values.new_zeros(shape)
        for buffer, old in zip(self.buffers, (keys, values), strict=True):
            buffer[:, :, :length] = old
        self.keys, self.values = (buffer[:, :, :length] for buffer in self.buffers)


def refuse_unsloth(model: CausalLM) -> None:
    """Raise `EngineError` for a model that Unsloth has loaded: it returns a cache of its own, and ours stays empty."""
    base: Any = getattr(model, "get_base_model", lambda: model)()
    if type(base).forward.__module__.startswith("unsloth.models"):
        raise EngineError(f"engine.name: transformers: {NEEDS_VLLM}")


def new_cache(model: CausalLM) -> DynamicCache:
    """A cache of `GrowingLayer`s; where attention slides over a window, the mask alone bounds it.

    Raises `EngineError` for a model that keeps anything but keys and values.
    """
    cache = DynamicCache(config=model.config)
    odd = {type(layer) for layer in cache.layers} - {DynamicLayer, DynamicSlidingWindowLayer}
    if odd:
        names = ", ".join(sorted(kind.__name__ for kind in odd))
        raise EngineError(
            f"engine.name: transformers joins and drops rows of keys and values, and this model keeps {names}; "
            "take another model, or name: vllm"
        )
    cache.layers = [GrowingLayer() for _ in cache.layers]
    return cache
