"""Teacher forcing: log-probabilities at the right places, and 16-bit weights read in fp32."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from models.teacher_forcing import completion_logprobs, compute_in_fp32, vocabulary_logprobs
from tests.tiny_run import tiny_base

pytestmark = pytest.mark.engine

PAIRS = [([1, 40, 50], [60, 70, 2]), ([1, 40], [90]), ([1, 30, 31, 32, 33], [200, 201, 202, 203, 2])]


def loaded(folder: Path, dtype: torch.dtype, dropout: float = 0.0) -> Any:
    """A tiny model under a LoRA (in fp32) that does something."""
    model = AutoModelForCausalLM.from_pretrained(tiny_base(folder, "qwen2", tied=True), dtype=dtype)
    torch.manual_seed(0)
    shape = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", lora_dropout=dropout)
    model = get_peft_model(model, shape)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return model


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_logprobs_are_of_each_completion_token(tmp_path: Path, batch_size: int) -> None:
    model = loaded(tmp_path, torch.float32, dropout=0.5).train()
    model.base_model.model.lm_head.eval()  # a module that was not training stays so
    found = list(vocabulary_logprobs(model, PAIRS, batch_size))
    modes = [module.training for module in model.modules()]
    assert not model.base_model.model.lm_head.training
    assert modes.count(False) == len(list(model.base_model.model.lm_head.modules()))
    model.eval()
    for (prompt, completion), vocabulary in zip(PAIRS, found, strict=True):
        logits = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
        wanted = [logits[len(prompt) - 1 + at, token].item() for at, token in enumerate(completion)]
        assert vocabulary.shape == (len(completion), 264)
        assert completion_logprobs(vocabulary, completion).tolist() == pytest.approx(wanted, rel=1e-5)


def test_weights_in_16_bits_are_read_in_fp32(tmp_path: Path) -> None:
    """The same as of a copy in fp32, to the last bit; and the weights are what they were."""
    model, wide = (loaded(tmp_path, torch.bfloat16) for _ in range(2))
    wide.float()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with compute_in_fp32(model):
        found = list(vocabulary_logprobs(model, PAIRS))
    wanted = list(vocabulary_logprobs(wide, PAIRS))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert not torch.equal(found[0], next(vocabulary_logprobs(model, PAIRS)))  # outside it computes in bf16
    after = model.state_dict()
    assert all(
        after[name].dtype == weight.dtype and torch.equal(after[name], weight) for name, weight in before.items()
    )


def test_one_module_is_wide_at_a_time(tmp_path: Path) -> None:
    """The extra memory is the widest module's, not the model's."""
    model = loaded(tmp_path, torch.bfloat16)
    held = {id(weight) for weight in model.parameters() if weight.dtype == torch.bfloat16}
    wide: list[int] = []

    def count(*_: object) -> None:
        now = {id(w): w for w in model.parameters() if id(w) in held and w.dtype == torch.float32}
        wide.append(sum(weight.numel() for weight in now.values()))

    with compute_in_fp32(model):
        for module in model.modules():
            module.register_forward_pre_hook(count)
        next(vocabulary_logprobs(model, PAIRS))
    assert max(wide) == model.get_input_embeddings().weight.numel()


def test_weights_are_as_they_were_after_an_error(tmp_path: Path) -> None:
    model = loaded(tmp_path, torch.bfloat16)
    last = model.base_model.model.model.layers[1].mlp
    last.register_forward_hook(lambda *_: 1 / 0)
    with compute_in_fp32(model), pytest.raises(ZeroDivisionError):
        next(vocabulary_logprobs(model, PAIRS))
    assert {w.dtype for name, w in model.named_parameters() if "lora" not in name} == {torch.bfloat16}
