"""Models load by one name, on any backend that is here, and every mistake is one clear line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import ModelError
from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from models import load
from models.tokenizer import load_tokenizer
from models.weights import weight_bytes
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model(tmp_path_factory.mktemp("tiny")))


def test_each_process_has_own_gpu() -> None:
    launched = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}
    assert load.device_map(launched, 99, [10, 10]) == {"": 1}  # accelerate trains no model that "auto" has spread
    assert load.device_map(launched | {"WORLD_SIZE": "1"}, 8, [10, 10]) == {"": 0}


@pytest.mark.parametrize(
    ("weights", "gpus", "placed"),
    [(1, 2, {"": 0}), (80, 2, {"": 0}), (81, 2, "auto"), (160, 2, "auto"), (161, 2, "cpu"), (81, 1, "cpu")],
)
def test_fitting_model_takes_one_gpu(weights: int, gpus: int, placed: str | dict[str, int]) -> None:
    assert load.device_map({}, weights, [100] * gpus) == placed


def test_weight_bytes_are_those_of_the_weights(tiny: str) -> None:
    loaded = load.load_model(ModelConfig(name=tiny, precision="fp32"))
    assert weight_bytes(tiny, "fp32") == sum(p.nbytes for p in loaded.model.parameters())
    assert weight_bytes(tiny, "bf16") == weight_bytes(tiny, "fp32") / 2


@pytest.mark.engine
@pytest.mark.parametrize("precision", ["fp32", "bf16", "nf4"])
def test_every_precision_trains_adapter_only(tiny: str, precision: Any) -> None:
    loaded = load.load_model(ModelConfig(name=tiny, precision=precision), LoraConfig(r=4, alpha=8))
    trainable = {name for name, parameter in loaded.model.named_parameters() if parameter.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)
    ids = torch.tensor([[5, 6, 7, 8]])
    loaded.model(input_ids=ids, labels=ids).loss.backward()
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in loaded.model.parameters())
    assert precision in loaded.choice
    assert "recipe asks" in loaded.choice


@pytest.mark.engine
def test_packed_weights_report_nf4(tiny: str, tmp_path: Path) -> None:
    packed = load.load_model(ModelConfig(name=tiny, precision="nf4"))
    packed.model.save_pretrained(tmp_path)
    packed.tokenizer.save_pretrained(tmp_path)
    again = load.load_model(ModelConfig(name=str(tmp_path), precision="bf16"), LoraConfig(r=4))
    assert again.precision == "nf4"


@pytest.mark.engine
def test_no_adapter_trains_every_weight(tiny: str) -> None:
    loaded = load.load_model(ModelConfig(name=tiny, precision="fp32"))
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.base == tiny


@pytest.mark.engine
def test_saved_adapter_is_loaded(tiny: str, tmp_path: Path) -> None:
    config = ModelConfig(name=tiny, precision="fp32")
    first = load.load_model(config, LoraConfig(r=4, alpha=16, rslora=True, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, parameter in first.model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    first.model.save_pretrained(str(tmp_path))
    again = load.load_model(config.model_copy(update={"adapter": str(tmp_path)}), LoraConfig(r=16))
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(again.model(ids).logits, first.model(ids).logits)
    assert again.model.peft_config["default"].r == 4  # the adapter's own shape wins
    assert any(parameter.requires_grad for parameter in again.model.parameters())
    frozen = load.load_model(config.model_copy(update={"adapter": str(tmp_path)}))
    assert not any(parameter.requires_grad for parameter in frozen.model.parameters())


@pytest.mark.engine
def test_seed_draws_the_adapter(tiny: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        loaded = load.load_model(ModelConfig(name=tiny, precision="fp32"), LoraConfig(r=4), seed)
        found: torch.Tensor = next(p for n, p in loaded.model.named_parameters() if "lora_A" in n)
        return found

    torch.testing.assert_close(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.engine
def test_adapter_of_another_base_is_refused(tiny: str, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", layers=1)
    saved = load.load_model(ModelConfig(name=str(other), precision="fp32"), LoraConfig(r=2, target_modules=["q_proj"]))
    saved.model.save_pretrained(str(tmp_path / "adapter"))
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config | {"r": 8}))
    with pytest.raises(ModelError, match="does not fit"):
        load.load_model(ModelConfig(name=tiny, precision="fp32", adapter=str(tmp_path / "adapter")))


@pytest.mark.engine
def test_unknown_target_module_is_refused(tiny: str) -> None:
    with pytest.raises(ModelError, match=r"adapter\.target_modules: .*nope"):
        load.load_model(ModelConfig(name=tiny, precision="fp32"), LoraConfig(target_modules=["nope"]))


@pytest.mark.engine
def test_truncated_weights_are_refused(tiny: str, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"model\.name: .*/model can't be loaded: "):
        load.load_model(ModelConfig(name=str(tmp_path / "model"), precision="fp32"))


def test_tokenizer_over_embedding_is_refused(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", layers=1)
    tokenizer = load_tokenizer(ModelConfig(name=str(folder)))
    tokenizer.add_tokens([f"<new{n}>" for n in range(7)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"tokenizer has 266 tokens and its embedding 264 rows; .*resize_token_embedd"):
        load.load_model(ModelConfig(name=str(folder), precision="fp32"))


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_lora_on_tied_matrix_is_refused(tmp_path: Path, target: str) -> None:
    folder = tiny_model(tmp_path / "model", layers=1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    with pytest.raises(ModelError, match=rf"adapter\.target_modules: {target} is tied to .*leave both out"):
        load.load_model(ModelConfig(name=str(folder), precision="fp32"), LoraConfig(target_modules=["q_proj", target]))
