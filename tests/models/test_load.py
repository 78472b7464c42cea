"""Models load by one name, on any backend that is here, and every mistake is one clear line."""

import importlib.util
import json
import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import ModelError
from configs.schema.sections import AdapterConfig, ModelConfig
from models import embedded as embedded_model
from models import load
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.mark.engine
def test_the_embedded_model_stops_where_its_chat_template_does(embedded: Path, tokenizer: Any) -> None:
    generation = json.loads((embedded / "generation_config.json").read_text())
    assert generation["eos_token_id"] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>") == 2
    assert tokenizer.pad_token_id not in (1, 2)
    assert tokenizer.padding_side == "left"
    assert tokenizer.chat_template


@pytest.mark.engine
@pytest.mark.parametrize(("there", "stays"), [("config.json", True), ("notes.txt", False)])
def test_the_slower_of_two_processes_that_convert_leaves_the_others_folder(
    tmp_path: Path, there: str, stays: bool
) -> None:
    spec = importlib.util.find_spec(embedded_model.WHEEL)
    assert spec is not None
    assert spec.origin is not None
    done = tmp_path / "model"
    done.mkdir()
    (done / there).write_text("{}")  # config.json: a model that the faster one renamed into place in the meantime
    with nullcontext() if stays else pytest.raises(OSError, match="not empty"):
        embedded_model.convert(Path(spec.origin).parent / embedded_model.GGUF, done)
    assert list(tmp_path.rglob("*")) == [done, done / there]


def test_each_of_several_processes_has_a_gpu_of_its_own() -> None:
    launched = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}
    assert load.device_map(True, launched) == {"": 1}  # accelerate trains no model that "auto" has spread
    assert load.device_map(True, launched | {"WORLD_SIZE": "1"}) == load.device_map(True, {}) == "auto"
    assert load.device_map(False, launched) == "cpu"


@pytest.mark.engine
@pytest.mark.parametrize("precision", ["fp32", "bf16", "nf4"])
def test_every_precision_trains_its_adapter_only(tiny: str, precision: Any) -> None:
    loaded = load.load_model(ModelConfig(name=tiny, precision=precision), AdapterConfig(r=4, alpha=8))
    trainable = {name for name, parameter in loaded.model.named_parameters() if parameter.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)
    ids = torch.tensor([[5, 6, 7, 8]])
    loaded.model(input_ids=ids, labels=ids).loss.backward()
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in loaded.model.parameters())
    assert precision in loaded.choice
    assert "recipe asks" in loaded.choice


@pytest.mark.engine
def test_weights_that_come_packed_are_told_by_what_holds_them(tiny: str, tmp_path: Path) -> None:
    packed = load.load_model(ModelConfig(name=tiny, precision="nf4"))
    packed.model.save_pretrained(tmp_path)
    packed.tokenizer.save_pretrained(tmp_path)
    again = load.load_model(ModelConfig(name=str(tmp_path), precision="bf16"), AdapterConfig(r=4))
    assert again.precision == "nf4"


@pytest.mark.parametrize(
    ("name", "precision", "words"),
    [
        ("org/model", "nf4", r"needs vLLM's bitsandbytes plugin; run `pip install --no-deps vllm-bnb-plugin`"),
        ("org/model", "int8", "4 bits alone, not to int8; take nf4 or bf16"),
        ("model.gguf", "bf16", r"reads no GGUF file like model\.gguf"),
    ],
)
def test_vllm_is_not_started_on_what_it_cannot_hold(
    name: str, precision: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm_bnb_plugin", None)  # as where it is not installed
    with pytest.raises(ModelError, match=words):
        load.check_vllm(name, precision)
    load.check_vllm("org/model", "bf16")


def test_unsloth_s_fast_inference_needs_the_plugin_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unsloth.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "vllm_bnb_plugin", None)
    monkeypatch.setattr(load, "has_gpu", lambda: True)
    config = ModelConfig(name="org/model", precision="nf4", fast_inference=True)
    with pytest.raises(ModelError, match="vllm-bnb-plugin"):
        load.check(config)
    load.check(config.model_copy(update={"fast_inference": False}))


@pytest.mark.engine
def test_no_adapter_section_trains_every_weight(tiny: str) -> None:
    loaded = load.load_model(ModelConfig(name=tiny, precision="fp32"))
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.base == tiny


@pytest.mark.engine
def test_a_saved_adapter_goes_on_where_it_was(tiny: str, tmp_path: Path) -> None:
    config = ModelConfig(name=tiny, precision="fp32")
    first = load.load_model(config, AdapterConfig(r=4, alpha=16, rslora=True, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, parameter in first.model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    first.model.save_pretrained(str(tmp_path))
    again = load.load_model(config.model_copy(update={"adapter": str(tmp_path)}), AdapterConfig(r=16))
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(again.model(ids).logits, first.model(ids).logits)
    assert again.model.peft_config["default"].r == 4  # the adapter's own shape wins
    assert any(parameter.requires_grad for parameter in again.model.parameters())
    frozen = load.load_model(config.model_copy(update={"adapter": str(tmp_path)}))
    assert not any(parameter.requires_grad for parameter in frozen.model.parameters())


@pytest.mark.engine
def test_the_seed_draws_the_adapter(tiny: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        loaded = load.load_model(ModelConfig(name=tiny, precision="fp32"), AdapterConfig(r=4), seed)
        found: torch.Tensor = next(p for n, p in loaded.model.named_parameters() if "lora_A" in n)
        return found

    torch.testing.assert_close(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.engine
def test_a_gguf_file_loads_by_its_path(embedded: Path) -> None:
    spec = importlib.util.find_spec(embedded_model.WHEEL)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / embedded_model.GGUF
    gguf = load.load_model(ModelConfig(name=str(path), precision="bf16"))
    converted = load.load_model(ModelConfig(name="smollm2-135m", precision="bf16"))
    ids = torch.tensor([[1, 17400, 198, 33359]])
    torch.testing.assert_close(gguf.model(ids).logits, converted.model(ids).logits)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "no such model"}, "is no folder, no GGUF file and no hub id"),
        ({"name": "smollm2-135m", "adapter": "/nowhere"}, "holds no adapter_config.json"),
        ({"name": "Qwen/Qwen2.5-1.5B-Instruct", "backend": "unsloth"}, "--config gsm8k_cpu.yaml"),
    ],
)
def test_what_is_missing_is_said_before_anything_heavy(fields: dict[str, Any], message: str) -> None:
    if load.has_gpu() and "backend" in fields:
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match=message):
        load.check(ModelConfig(**fields))


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load.check(ModelConfig(name=str(tmp_path)))


def test_an_adapter_whose_weights_are_gone_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.adapter: .* holds no adapter_model\.safetensors; train one first"):
        load.check(ModelConfig(name="smollm2-135m", adapter=str(tmp_path)))


@pytest.mark.engine
def test_an_adapter_of_another_base_is_refused(tiny: str, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", layers=1)
    saved = load.load_model(
        ModelConfig(name=str(other), precision="fp32"), AdapterConfig(r=2, target_modules=["q_proj"])
    )
    saved.model.save_pretrained(str(tmp_path / "adapter"))
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config | {"r": 8}))
    with pytest.raises(ModelError, match="does not fit"):
        load.load_model(ModelConfig(name=tiny, precision="fp32", adapter=str(tmp_path / "adapter")))


@pytest.mark.engine
def test_unknown_target_modules_are_named(tiny: str) -> None:
    with pytest.raises(ModelError, match=r"adapter\.target_modules: .*nope"):
        load.load_model(ModelConfig(name=tiny, precision="fp32"), AdapterConfig(target_modules=["nope"]))


def test_a_tokenizer_without_a_chat_template_is_refused(tiny: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        load.finish_tokenizer(tokenizer, None)


def test_of_several_chat_templates_the_default_is_taken(tiny: str, tmp_path: Path) -> None:
    from data.prompts import render_prompt
    from data.think_format import S1

    plain = load.load_tokenizer(ModelConfig(name=tiny))
    shutil.copytree(tiny, tmp_path / "model")
    several = load.load_tokenizer(ModelConfig(name=tiny))
    several.chat_template = {"default": plain.chat_template, "tool_use": "{{ tools }}"}
    several.save_pretrained(tmp_path / "model")
    found = load.load_tokenizer(ModelConfig(name=str(tmp_path / "model")))
    assert render_prompt(found, "1 + 1?", S1) == render_prompt(plain, "1 + 1?", S1)
    several.chat_template = {"rag": "{{ documents }}"}
    with pytest.raises(ModelError, match=r"none of the tokenizer's chat templates \(rag\) is called default"):
        load.finish_tokenizer(several, None)


@pytest.mark.engine
def test_weights_cut_short_are_named(tiny: str, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"model\.name: .*/model can't be loaded: "):
        load.load_model(ModelConfig(name=str(tmp_path / "model"), precision="fp32"))


@pytest.mark.parametrize(("hidden", "seen"), [("", False), ("-1", False), ("0", True), ("0,1", True)])
def test_gpus_that_are_hidden_are_not_there(monkeypatch: pytest.MonkeyPatch, hidden: str, seen: bool) -> None:
    monkeypatch.setattr(load, "GPU_DEVICES", (os.devnull,))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert load.has_gpu() is seen


def test_padding_is_never_the_end_of_the_turn(tiny: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.pad_token = tokenizer.eos_token
    load.finish_tokenizer(tokenizer, None)
    assert tokenizer.pad_token == "<|endoftext|>"


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MULL_CACHE", str(tmp_path))
    assert embedded_model.cache_root() == tmp_path
