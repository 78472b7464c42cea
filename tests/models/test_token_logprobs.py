"""Log-probabilities without logits: values and gradients are those of the model's own logits, for heads of any kind."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    LlamaConfig,
    PhiConfig,
    Qwen2Config,
)

from models import token_logprobs as module
from models.token_logprobs import Head, hidden_states, token_logprobs

SHAPE: dict[str, Any] = {
    "vocab_size": 97, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
CONFIGS = {
    "plain": LlamaConfig(**SHAPE, tie_word_embeddings=False, initializer_range=0.5),
    "tied": Qwen2Config(**SHAPE, tie_word_embeddings=True, initializer_range=0.5),
    "soft_capped": Gemma2Config(**SHAPE, head_dim=8, final_logit_softcapping=2.0, initializer_range=0.5),
    "scaled": CohereConfig(**SHAPE, logit_scale=0.25, initializer_range=0.5),
    "divided": GraniteConfig(**SHAPE, logits_scaling=4.0, initializer_range=0.5),
    "biased": PhiConfig(**SHAPE, initializer_range=0.5),
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 4 * 97 * 3)  # three rows at a time


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Iterator[Any]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = AutoModelForCausalLM.from_config(CONFIGS[request.param])
        if request.param == "biased":
            torch.nn.init.normal_(found.lm_head.bias)
        yield found


def with_lora(model: Any, targets: list[str]) -> Any:
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=targets))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    return adapted


IDS = torch.tensor([[5, 9, 33, 70, 8, 41, 96, 3], [7, 7, 50, 4, 88, 2, 19, 60]])
WEIGHTS = torch.linspace(-1, 2, 14)


def of_logits(model: Any, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    logps = (model(input_ids=IDS).logits[:, :-1].float() / temperature).log_softmax(-1)
    chosen = logps.gather(2, IDS[:, 1:, None])[..., 0].flatten()
    return chosen, -(logps.exp() * logps).sum(-1).flatten()


def in_chunks(model: Any, temperature: float, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    head = Head.of(model)
    assert head is not None
    hidden = hidden_states(model, head, input_ids=IDS)[:, :-1].flatten(0, 1)
    return token_logprobs(head, hidden, IDS[:, 1:].flatten(), temperature=temperature, **options)


def gradients(model: Any, loss: torch.Tensor) -> list[torch.Tensor | None]:
    model.zero_grad()
    loss.backward()
    return [None if p.grad is None else p.grad.clone() for p in model.parameters() if p.requires_grad]


@pytest.mark.parametrize("trained", [["q_proj", "v_proj"], ["q_proj", "lm_head"], []], ids=["frozen", "lora", "whole"])
@pytest.mark.parametrize("entropies", ["value", "gradient"])
def test_values_and_gradients_equal_logits(model: Any, trained: list[str], entropies: Any) -> None:
    model = with_lora(model, trained) if trained else model
    factor = 0.3 if entropies == "gradient" else 0.0
    expected, entropy = of_logits(model, 0.7)
    their = gradients(model, (expected * WEIGHTS).sum() + factor * entropy.sum())
    found, own_entropy = in_chunks(model, 0.7, entropies=entropies)
    assert own_entropy is not None
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(own_entropy, entropy)
    loss = (found * WEIGHTS).sum() + (factor * own_entropy.sum() if factor else 0.0)
    largest = max(float(gradient.abs().max()) for gradient in their if gradient is not None)
    assert largest > 1e-2
    for mine, other in zip(gradients(model, loss), their, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5 * largest, rtol=1e-5)


def test_dropped_tokens_have_no_probability(model: Any) -> None:
    def drop(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        kept = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, target[:, None], True)
        kept[:, :10] = True
        return logits.masked_fill_(~kept, -1e30)

    found, entropy = in_chunks(model, 1.0, drop=drop, entropies="value")
    logits = drop(model(input_ids=IDS).logits[:, :-1].float().flatten(0, 1).clone(), IDS[:, 1:].flatten())
    torch.testing.assert_close(found, logits.log_softmax(-1).gather(1, IDS[:, 1:].reshape(-1, 1))[:, 0])
    assert entropy is not None
    assert entropy.max() <= torch.tensor(11.0).log()


def test_without_gradients_nothing_is_kept(model: Any) -> None:
    with torch.no_grad():
        found, entropy = in_chunks(model, 1.0)
    assert entropy is None
    assert not found.requires_grad
    torch.testing.assert_close(found, of_logits(model, 1.0)[0].detach())


def test_chunks_of_a_frozen_head_share_what_is_kept() -> None:
    """A tensor that a chunk leaves behind would lie between the logits of two chunks, and malloc's heap would grow."""
    model = with_lora(AutoModelForCausalLM.from_config(CONFIGS["tied"]), ["q_proj"])
    found, _ = in_chunks(model, 1.0, entropies="value")
    [slope_NW] = found.grad_fn.saved_tensors
    assert slope_NW.shape == (14, 16)


def test_no_rows_have_a_gradient_of_zero(model: Any) -> None:
    head = Head.of(model)
    assert head is not None
    hidden = hidden_states(model, head, input_ids=IDS)[:, :0].flatten(0, 1)
    found, _ = token_logprobs(head, hidden, IDS[:, :0].flatten())
    assert found.shape == (0,)
    found.sum().backward()


def test_head_of_an_unknown_kind_is_left_alone() -> None:
    model = AutoModelForCausalLM.from_config(CONFIGS["plain"])
    forward = model.forward

    def shifted(*args: Any, **inputs: Any) -> Any:
        return SimpleNamespace(logits=forward(*args, **inputs).logits + torch.arange(97.0))

    model.forward = shifted
    assert Head.of(model) is None


def test_logits_of_the_model_are_whole_again(model: Any) -> None:
    head = Head.of(model)
    assert head is not None
    hidden_states(model, head, input_ids=IDS)
    assert model(input_ids=IDS).logits.shape == (2, 8, 97)
