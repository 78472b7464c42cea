"""Pins what is used of PEFT's LoRA layer: the fused forward is PEFT's, and what is not plain is left to PEFT."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear
from transformers import LlamaConfig, LlamaForCausalLM

from models.engines.peft_internals import decoding_lora

IDS = torch.tensor([[5, 9, 33, 7], [8, 41, 26, 3]])


def lora(dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A random model with a LoRA that changes its logits; its base weights in `dtype`, the LoRA's in fp32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50}
        config = LlamaConfig(**shape, num_hidden_layers=2, intermediate_size=48, attention_bias=True)
        model = get_peft_model(
            LlamaForCausalLM(config).to(dtype), LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", **options)
        )
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def fused(model: Any) -> list[Any]:
    return [layer for layer in model.modules() if isinstance(layer, Linear) and "forward" in vars(layer)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
def test_fused_lora_is_pefts(dtype: torch.dtype, autocast: bool) -> None:
    model = lora(dtype)
    casting = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
    with torch.inference_mode(), casting:
        expected = model(input_ids=IDS).logits.float()
        with model.disable_adapter():
            base = model(input_ids=IDS).logits.float()
        with decoding_lora(model):
            assert len(fused(model)) == 14
            found = model(input_ids=IDS).logits.float()
    assert (expected - base).abs().mean() > 0.05
    is_exact = dtype == torch.float32 and not autocast
    assert (found - expected).abs().mean() < (1e-6 if is_exact else 0.05 * (expected - base).abs().mean())
    assert not fused(model)


def test_fused_lora_takes_the_weights_as_they_are() -> None:
    """A step of training between two calls is seen by the second."""
    model = lora()
    with torch.inference_mode(), decoding_lora(model):
        before = model(input_ids=IDS).logits
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.mul_(-1)
    with torch.inference_mode():
        expected = model(input_ids=IDS).logits
        with decoding_lora(model):
            found = model(input_ids=IDS).logits
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, before, atol=1e-3)


def switched_off(model: Any) -> None:
    model.base_model.disable_adapter_layers()


def merged(model: Any) -> None:
    model.merge_adapter()


def with_a_second(model: Any) -> None:
    model.add_adapter("other", LoraConfig(r=2, target_modules="all-linear"))
    model.base_model.set_adapter(["default", "other"])


def hooked(model: Any) -> None:
    for layer in model.modules():
        if isinstance(layer, Linear):
            layer.base_layer.register_forward_hook(lambda module, given, result: result)


@pytest.mark.parametrize("change", [switched_off, merged, with_a_second, hooked])
def test_what_is_not_plain_is_left_to_peft(change: Callable[[Any], None]) -> None:
    model = lora()
    change(model)
    with decoding_lora(model):
        assert not fused(model)


@pytest.mark.parametrize("option", ["use_dora", "lora_bias"])
def test_variants_are_left_to_peft(option: str) -> None:
    options = {"bias": "none"} if option == "lora_bias" else {}
    model = lora(**{option: True}, **options)
    with decoding_lora(model):
        assert not fused(model)


def test_layers_are_pefts_again_after_an_error() -> None:
    model = lora()
    with pytest.raises(KeyError), decoding_lora(model):
        raise KeyError
    assert not fused(model)
