"""Two processes share a model out and decode with it; started by `test_fsdp_internals.py`."""

import sys
from pathlib import Path
from typing import Any

import torch
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import load_file
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.testing import assert_close

from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig, SamplingConfig
from data.think_format import S1
from models.engines.adapter_sync import Handover
from models.engines.base import Request
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from tests.rl.trainers import randomise
from training.fsdp_internals import whole_weights

IDS = torch.tensor([[5, 6, 7, 8]])


def share_out(model: Any) -> None:
    """As accelerate does: each layer, the head with the embedding that it is tied to, and the rest."""
    base = model.get_base_model()
    for layer in base.model.layers:
        fully_shard(layer, reshard_after_forward=True)
    fully_shard([base.model.norm, base.model.embed_tokens, base.lm_head], reshard_after_forward=False)
    fully_shard(model)


def is_shared_out(model: Any) -> list[bool]:
    return [isinstance(parameter, DTensor) for parameter in model.parameters()]


def loss_of(model: Any) -> torch.Tensor:
    loss: torch.Tensor = model(input_ids=IDS, labels=IDS).loss
    return loss


def drawn(loaded: LoadedModel, model: Any, count: int) -> list[tuple[int, ...]]:
    """Completions of as many lengths."""
    engine = TransformersEngine(model, loaded.tokenizer, S1, 128)
    plain = SamplingConfig()
    return [engine.generate([Request((5, 6, 7), plain, 3 + at, seed=at)])[0].token_ids for at in range(count)]


def adapter(handover: Handover, model: Any) -> dict[str, torch.Tensor]:
    """What vLLM would load."""
    found: dict[str, torch.Tensor] = load_file(Path(handover.folder_of(model)) / "adapter_model.safetensors")
    return found


def check_lora(name: str, rank: int) -> None:
    """Weights are whole inside, in parts outside; drawing waits for no one, and training goes on as it was."""
    loaded = load_model(ModelConfig(name=name, precision="fp32"), LoraConfig(r=4, alpha=8))
    model: Any = loaded.model
    randomise(model)
    handover = Handover()

    # 1. before it is shared out
    texts, folder = drawn(loaded, model, 3), adapter(handover, model)
    loss_of(model).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
    model.zero_grad()

    # 2. shared out: one process draws three times, the other once
    share_out(model)
    assert all(is_shared_out(model))
    with whole_weights(model):
        assert not any(is_shared_out(model))
        assert drawn(loaded, model, 3 if rank else 1) == texts[: 3 if rank else 1]
        assert_close(adapter(handover, model), folder)
    assert all(is_shared_out(model))

    # 3. a step of training, then the adapter that it leaves
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1.0)
    loss_of(model).backward()
    found = [parameter.grad.full_tensor() for parameter in model.parameters() if parameter.requires_grad]
    assert_close(found, gradients)
    optimizer.step()
    with whole_weights(model):
        changed = adapter(handover, model)
    assert any(not torch.equal(changed[name], folder[name]) for name in folder)
    handover.close()


def check_virtual_tokens(name: str, rank: int) -> None:
    """Drawing may come before the first forward pass, and call other modules than the outermost."""
    loaded = load_model(ModelConfig(name=name, precision="fp32"), None)
    model: Any = get_peft_model(loaded.model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    torch.manual_seed(0)
    torch.nn.init.normal_(model.prompt_encoder["default"].embedding.weight)
    texts = drawn(loaded, model, 2)
    share_out(model)
    with whole_weights(model):
        assert drawn(loaded, model, 1 + rank) == texts[: 1 + rank]
    before = loss_of(model)
    before.backward()
    assert torch.isfinite(before)


if __name__ == "__main__":
    torch.distributed.init_process_group("gloo")
    for check in (check_lora, check_virtual_tokens):
        check(sys.argv[1], torch.distributed.get_rank())
    torch.distributed.destroy_process_group()
