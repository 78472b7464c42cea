"""Pins what is used of Transformers' cache."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM, MambaConfig, MistralConfig
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from configs.errors import EngineError
from models.engines.transformers_internals import GROUPED, ROOM, GrowingLayer, decoding_attention, new_cache
from models.packed_attention import PACKED_SDPA, take_packed_rows

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


class IndexDevices(TorchDispatchMode):  # type: ignore[misc]  # torch does not type it
    """Where indexed tensors and their indices lie."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[str, str]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten.index.Tensor:
            self.pairs += [(args[0].device.type, at.device.type) for at in args[1] if at is not None]
        return function(*args, **kwargs or {})


def test_rows_are_indexed_on_their_own_device() -> None:
    """A layer on another device than the model's first: "meta" stands for a second GPU."""
    layer = GrowingLayer()
    layer.update(*(torch.randn(3, 1, 6, 4, device="meta") for _ in range(2)))
    with IndexDevices() as seen:
        layer.select(torch.tensor([2, 0]), 1)
    assert layer.keys.shape == layer.values.shape == (2, 1, 5, 4)
    assert set(seen.pairs) == {("meta", "meta")}


def test_selected_rows_are_those_of_the_index() -> None:
    layer, keys, values = GrowingLayer(), torch.randn(3, 1, 6, 4), torch.randn(3, 1, 6, 4)
    layer.update(keys, values)
    layer.select(torch.tensor([2, 0]), 1)
    torch.testing.assert_close((layer.keys, layer.values), (keys[[2, 0], :, 1:], values[[2, 0], :, 1:]))


@pytest.mark.parametrize("padded", [0, 2])
def test_grouped_attention_is_sdpa(padded: int) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 48, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8}
    model = LlamaForCausalLM(LlamaConfig(**shape, num_hidden_layers=2, intermediate_size=16, vocab_size=50))
    assert model.config._attn_implementation == "sdpa"
    ids, mask = torch.randint(0, 50, (3, 6)), torch.ones(3, 7, dtype=torch.long)
    mask[0, :padded] = 0

    def decoded() -> torch.Tensor:
        cache = new_cache(model)
        model(ids, attention_mask=mask[:, :6], past_key_values=cache)
        return model(ids[:, :1], attention_mask=mask, past_key_values=cache).logits

    with torch.inference_mode():
        theirs = decoded()
        with decoding_attention(model), KernelShapes() as seen:
            ours = decoded()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    # two layers: the prompt as Transformers does it, which repeats heads where it has a mask; then nothing is repeated
    assert seen.heads == [6 if padded else 2] * 2 + [2, 2]
    assert model.config._attn_implementation == "sdpa"


def test_decoding_attention_replaces_packed_attention() -> None:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, vocab_size=50))
    take_packed_rows(model)
    with decoding_attention(model):
        assert model.config._attn_implementation == GROUPED
    assert model.config._attn_implementation == PACKED_SDPA


def test_grouped_attention_stays_out_of_other_attentions() -> None:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, vocab_size=50, attn_implementation="eager"))
    with decoding_attention(model):
        assert model.config._attn_implementation == "eager" != GROUPED


class KernelShapes(TorchDispatchMode):  # type: ignore[misc]  # torch does not type it
    """How many heads of keys each attention kernel is given."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[int] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "scaled_dot_product" in str(function):
            self.heads.append(args[1].shape[1])
        return function(*args, **kwargs or {})
