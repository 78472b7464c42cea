"""Pins what is used of Transformers' cache."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, MambaConfig, MistralConfig
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from configs.errors import EngineError
from models.engines.transformers_internals import ROOM, GrowingLayer, new_cache

SHAPE: dict[str, Any] = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2}


def test_cache_layers_follow_the_config() -> None:
    full, sliding = LlamaConfig(**SHAPE), MistralConfig(sliding_window=4, **SHAPE)
    assert [type(layer) for layer in DynamicCache(config=full).layers] == [DynamicLayer] * 2
    assert [type(layer) for layer in DynamicCache(config=sliding).layers] == [DynamicSlidingWindowLayer] * 2


def test_every_cache_layer_is_growing() -> None:
    cache = new_cache(SimpleNamespace(config=MistralConfig(sliding_window=4, **SHAPE)))
    assert [type(layer) for layer in cache.layers] == [GrowingLayer] * 2


def test_linear_attention_state_is_refused() -> None:
    with pytest.raises(EngineError, match=r"LinearAttentionLayer; .*name: vllm"):
        new_cache(SimpleNamespace(config=MambaConfig(num_hidden_layers=2, hidden_size=8)))


def test_growing_layer_equals_dynamic_layer() -> None:
    ours, theirs = GrowingLayer(), DynamicLayer()
    for length in (5, 1, 1, ROOM, 1):
        keys, values = torch.randn(2, 1, length, 4), torch.randn(2, 1, length, 4)
        for mine, other in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            torch.testing.assert_close(mine, other)
    assert ours.get_seq_length() == theirs.get_seq_length() == 8 + ROOM
