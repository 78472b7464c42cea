"""Loading, SFT and the adapter on the Unsloth backend, without its vLLM."""

import dataclasses
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOConfig, SFTConfig

from configs.errors import ModelError
from configs.recipe import load_recipe, validate
from configs.run_directory import RunDir, read_jsonl
from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from configs.schema.sft import SftConfig
from data.think_format import S1
from models import embedded
from models.load import LoadedModel, load_model
from models.source import source_of
from sft.prepare import prepare
from sft.trainer import build_sft_trainer, check_first_batch, summarise, train
from tests.rl.trainers import randomise
from tests.tiny import tiny_model
from training.trainer import save_product, trainer_arguments
from training.trainer_internals import LEFT_TO_UNSLOTH, REWRITTEN, own_class

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def loaded(folder: Path, adapter: str | None = None, **shape: Any) -> LoadedModel:
    model = ModelConfig(name=str(folder), backend="unsloth", precision="fp32", adapter=adapter)
    return load_model(model, LoraConfig(r=4, alpha=8, **shape))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS, use_cache=False).logits.clone()
    return found


def unpatched(folder: Path) -> Any:
    """The model by Transformers' own source, in a module that Unsloth does not know."""
    source = importlib.util.find_spec("transformers.models.llama.modeling_llama")
    assert source is not None
    spec = importlib.util.spec_from_file_location("transformers.models.llama.unpatched", source.origin)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def test_logits_are_transformers_own(folder: Path) -> None:
    model = loaded(folder).model
    assert type(model.get_base_model()).forward.__module__.startswith("unsloth")
    torch.testing.assert_close(logits(model), logits(unpatched(folder)), atol=1e-4, rtol=1e-4)


def test_saved_adapter_is_loaded_again(folder: Path, tmp_path: Path) -> None:
    first = loaded(folder)
    plain = logits(first.model)
    randomise(first.model)
    product = save_product(first.model, first.tokenizer, RunDir(tmp_path))
    assert product.name == "adapter"
    again = loaded(folder, adapter=str(product))
    assert not torch.allclose(logits(again.model), plain, atol=1e-2)
    torch.testing.assert_close(logits(again.model), logits(first.model))
    assert any(parameter.requires_grad for parameter in again.model.parameters())


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"precision": "nf4"}, "nf4 needs bitsandbytes, which does not work here"),  # nor without a GPU
        ({"fast_inference": True, "max_length": 10**6, "precision": "bf16"}, "can't be loaded: "),  # vLLM refuses
        ({"name": "broken"}, "can't be loaded: "),
    ],
)
def test_failed_load_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: dict[str, Any], message: str
) -> None:
    shutil.copytree(folder, tmp_path / "broken", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    values: dict[str, Any] = {"name": str(folder), "backend": "unsloth", "precision": "fp32"} | section
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(ModelConfig(**values), LoraConfig(r=4, alpha=8))
    assert "\n" not in str(caught.value)


def test_gguf_file_is_loaded() -> None:
    """From the cache that it is converted into, which Unsloth takes for any folder."""
    wheel = importlib.util.find_spec(embedded.WHEEL)
    assert wheel is not None
    assert wheel.origin is not None
    file = str(Path(wheel.origin).with_name(embedded.GGUF))
    model = loaded(Path(file))
    torch.testing.assert_close(logits(model.model), logits(unpatched(Path(source_of(file)))), atol=1e-3, rtol=1e-3)


def sft(folder: Path, out: Path, **trainer: Any) -> SftConfig:
    values = {
        "model": {"name": str(folder), "backend": "unsloth", "precision": "fp32", "max_length": 1024},
        "data": {"source": "arithmetic", "limit": 40},
        "trainer": {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-2, **trainer},
        "output_dir": str(out),
    }
    config: SftConfig = validate("sft", values, "test.yaml")
    return config


@pytest.mark.parametrize("packing", [False, True])
def test_sft_learns(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], packing: bool) -> None:
    config, run, model = sft(folder, tmp_path, packing=packing), RunDir(tmp_path), loaded(folder)
    before = {name: p.detach().clone() for name, p in model.model.named_parameters()}
    data = prepare(config, model.tokenizer, S1)
    trainer = build_sft_trainer(config, model, data, run)
    assert type(trainer).__name__ == "UnslothSFTTrainer"
    check_first_batch(trainer, config, data)
    shown = capsys.readouterr().out
    assert "thinking, answer and end of turn" in shown
    assert ("packed and" in shown) is packing
    train(trainer, config, run, resume=False)
    figures = summarise(trainer, run)
    assert figures["steps"] == 2
    losses = [row["loss"] for row in read_jsonl(tmp_path / "metrics.jsonl") if "loss" in row]
    assert losses[1] < losses[0]
    changed = {name for name, p in model.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)


def values(arguments: Any) -> dict[str, Any]:
    """TRL's own fields but for those that may differ; processes that tokenise are not ours, whose rows are ids."""
    names = {field.name for field in dataclasses.fields(own_class(type(arguments)))}
    return {name: getattr(arguments, name) for name in names - {*LEFT_TO_UNSLOTH, "dataset_num_proc"}}


@pytest.mark.parametrize(
    ("stage", "trainer"),
    [("sft", {}), *(("grpo", {"num_generations": 4, "loss_type": kind}) for kind in ("dapo", "dr_grpo"))],
)
def test_fields_are_trl_own(tmp_path: Path, stage: str, trainer: dict[str, Any]) -> None:
    config = load_recipe(stage, "demo", [f"trainer={json.dumps(trainer)}"])
    kind = SFTConfig if stage == "sft" else GRPOConfig
    plain = own_class(kind)
    assert plain is not kind
    ours, trls = (trainer_arguments(one, config, RunDir(tmp_path)) for one in (kind, plain))
    assert type(ours) is kind
    assert values(ours) == values(trls)


def test_unsloth_rewrites_what_we_undo() -> None:
    dapo, dr = (GRPOConfig(use_cpu=True, bf16=False, loss_type=kind) for kind in ("dapo", "dr_grpo"))
    assert (dapo.epsilon_high, dapo.mask_truncated_completions) == (0.28, True)
    assert dr.scale_rewards == "none"
    assert set(REWRITTEN) == {"epsilon_high", "mask_truncated_completions", "scale_rewards"}


def test_recipe_value_wins(tmp_path: Path) -> None:
    config = load_recipe("grpo", "demo", ["trainer.weight_decay=0.01", "trainer.epsilon_high=0.3"])
    arguments = trainer_arguments(GRPOConfig, config, RunDir(tmp_path))
    assert arguments.weight_decay == 0.01
    assert arguments.epsilon_high == 0.3
