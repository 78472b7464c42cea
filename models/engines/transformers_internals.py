"""What is used of Transformers 5.17 that it does not promise: a cache's layers and an attention, pinned in its test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from configs.errors import EngineError
from models.backend import NEEDS_VLLM
from models.packed_attention import PACKED_SDPA
from models.protocols import CausalLM

ROOM = 64  # positions that a cache buffer grows by
GROUPED = "sdpa_grouped"  # Transformers' name for `grouped_attention`


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


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Transformers' "sdpa" for rows that decode one token, without a copy of keys and values for every query head.

    query (B, H, 1, d), key and value (B, K, T, d), attention_mask (B, 1, 1, T): the H / K query heads that share a key
    head (Ainslie et al. 2023, arXiv 2305.13245) stand as H / K positions of one head. Returns (B, 1, H, d).
    """
    rows, heads, length, width = query.shape
    group = heads // key.shape[1]
    is_plain = kwargs.get("position_bias") is None and (attention_mask is None or attention_mask.shape[1] == 1)
    if length > 1 or group == 1 or query.device.type != "cpu" or not is_plain:
        out: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return out
    grouped = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, -1, group, width),
        key,
        value,
        attn_mask=None if attention_mask is None else attention_mask.expand(-1, -1, group, -1),
        scale=kwargs.get("scaling"),
    )
    return grouped.reshape(rows, 1, heads, -1), None


@contextmanager
def decoding_attention(model: CausalLM) -> Iterator[None]:
    """`grouped_attention` in a model that has "sdpa", or ours for packed rows; its own again afterwards."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    if before in ("sdpa", PACKED_SDPA):
        config._attn_implementation = GROUPED
    try:
        yield
    finally:
        config._attn_implementation = before


ALL_ATTENTION_FUNCTIONS.register(GROUPED, grouped_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(GROUPED, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
