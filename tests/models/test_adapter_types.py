"""What an adapter's type can't do is refused by name, before anything is loaded."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, EngineError, ModelError, MullError
from configs.recipe import validate
from configs.schema.adapters import PROMPT_TYPES
from configs.schema.sections import EngineConfig, ModelConfig
from models import backend
from models.adapter_files import type_of
from models.adapter_types import check_mergeable, check_served
from models.engines.select import choose_engine
from release.card import ADAPTERS

SHAPES: dict[str, dict[str, Any]] = {
    "lora": {"peft_type": "LORA"},
    "dora": {"peft_type": "LORA", "use_dora": True},
    "adalora": {"peft_type": "ADALORA"},
    "prefix": {"peft_type": "PREFIX_TUNING", "prefix_projection": False},
    "p_tuning_v2": {"peft_type": "PREFIX_TUNING", "prefix_projection": True},
    "p_tuning": {"peft_type": "P_TUNING"},
    "prompt": {"peft_type": "PROMPT_TUNING"},
    "ia3": {"peft_type": "IA3"},
}


def saved(folder: Path, kind: str) -> dict[str, Any]:
    """A model section with an adapter of this type, of which there is just enough to know it."""
    (folder / "adapter_config.json").write_text(json.dumps(SHAPES[kind]))
    (folder / "adapter_model.safetensors").touch()
    return {"name": "org/model", "adapter": str(folder)}


def training(stage: str = "sft", **sections: Any) -> Any:
    values: dict[str, Any] = {"model": {"name": "org/model"}, "data": {"source": "arithmetic"}}
    if stage == "grpo":
        values |= {"rewards": [{"name": "correctness"}], "trainer": {"num_generations": 4}}
    return validate(stage, values | sections, "test.yaml")


def check(config: Any) -> None:
    backend.check_model_config(config.model, config)


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with a GPU, Unsloth, vLLM and bitsandbytes; none is imported."""
    for name in ("unsloth", "bitsandbytes", "vllm_bnb_plugin", "vllm"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(backend, "has_gpu", lambda: True)


@pytest.mark.parametrize("kind", SHAPES)
def test_folder_says_its_type(kind: str) -> None:
    assert type_of(SHAPES[kind]) == kind


def test_card_names_every_type() -> None:
    assert {*ADAPTERS} == {*SHAPES} - {"ia3"}


def test_config_without_a_type_is_a_lora() -> None:
    assert type_of({"r": 8}) == "lora"


@pytest.mark.parametrize("kind", ["adalora", *PROMPT_TYPES])
def test_grpo_trains_lora_and_dora(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"adapter.type: {kind}; this command trains lora and dora, sft.train every"):
        check(training("grpo", adapter={"type": kind}))
    with pytest.raises(ConfigError, match=f"model.adapter: .* is {kind}; this command trains lora and dora"):
        check(training("grpo", model=saved(tmp_path, kind)))
    check(training("grpo", adapter={"type": "dora"}))


@pytest.mark.parametrize("kind", PROMPT_TYPES)
def test_packing_is_refused(tmp_path: Path, kind: str) -> None:
    message = r"trainer\.packing: .* virtual tokens stand before a sequence, .*; set trainer\.packing=false"
    for sections in ({"adapter": {"type": kind}}, {"model": saved(tmp_path, kind)}):
        with pytest.raises(ConfigError, match=message):
            check(training(trainer={"packing": True}, **sections))
        check(training(**sections))
    check(training(adapter={"type": "dora"}, trainer={"packing": True}))


@pytest.mark.parametrize(
    ("kind", "trainer", "message"),
    [
        ("prefix", {"gradient_checkpointing": True}, "whose keys and values are a cache"),
        ("p_tuning_v2", {"gradient_checkpointing": True}, "checkpointed layers have none; leave it out"),
        ("p_tuning", {"loss_type": "dft"}, "dft would read a label off each of p_tuning's"),
    ],
)
def test_trainer_field_is_refused(kind: str, trainer: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(training(adapter={"type": kind}, trainer=trainer))
    other = {"prefix": "prompt", "p_tuning_v2": "p_tuning", "p_tuning": "prefix"}[kind]
    check(training(adapter={"type": other}, trainer=trainer))


@pytest.mark.parametrize("engine", ["vllm", "unsloth"])
def test_rollouts_on_vllm_need_lora(engine: str) -> None:
    with pytest.raises(ConfigError, match=r"rollout\.engine: vLLM knows LoRA alone, not dora; set .*=transformers"):
        check(training("grpo", adapter={"type": "dora"}, rollout={"engine": engine}))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("kind", ["dora", "adalora", *PROMPT_TYPES])
def test_unsloth_needs_lora(kind: str) -> None:
    config = training(adapter={"type": kind})
    choice = backend.choose_backend(config.model, config)
    assert choice.backend == "transformers"
    assert f"Unsloth knows LoRA alone, and the adapter is {kind}" in choice.why
    with pytest.raises(ModelError, match=rf"model\.backend: Unsloth knows LoRA alone, not {kind}; set model\.backend="):
        check(training(adapter={"type": kind}, model={"name": "org/model", "backend": "unsloth"}))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("kind", ["dora", "adalora", "ia3", *PROMPT_TYPES])
def test_vllm_engine_needs_lora(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    model = ModelConfig(**saved(tmp_path, kind))
    with pytest.raises(ModelError, match=f"engine.name: vLLM knows LoRA alone, and the adapter is {kind}; set engine"):
        choose_engine(EngineConfig(name="vllm"), model)
    assert choose_engine(EngineConfig(), model) == "transformers"
    assert f"the adapter is {kind}" in caplog.text
    assert choose_engine(EngineConfig(), ModelConfig(**saved(tmp_path, "lora"))) == "vllm"


@pytest.mark.parametrize(
    ("kind", "precision", "message"),
    [
        ("dora", "nf4", "bitsandbytes packs them otherwise on a CPU; take bf16 or fp32"),
        ("dora", "int8", "DoRA reads the base weights"),
        ("adalora", "int8", "take nf4 or bf16"),
    ],
)
def test_packed_weights_are_refused(tmp_path: Path, kind: str, precision: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check(training(adapter={"type": kind}, model={"name": "org/model", "precision": precision}))
    with pytest.raises(ModelError, match=message):  # to answer with, too
        backend.check_model_config(ModelConfig(**saved(tmp_path, kind), precision=precision))


@pytest.mark.parametrize("target", ["merged16", "nf4", "gguf:q8_0"])
def test_virtual_tokens_are_not_merged(target: str) -> None:
    for kind in PROMPT_TYPES:
        with pytest.raises(ModelError, match=f"--to: {target}: {kind} changes no weight .*; export adapter alone"):
            check_mergeable(kind, target)
    for mergeable in ("lora", "dora", "adalora", None):
        check_mergeable(mergeable, target)


def test_served_are_lora_and_whole_models() -> None:
    with pytest.raises(ModelError, match="serve its merged16 export: vllm serve run/exports/merged16"):
        check_served("dora", "run")
    with pytest.raises(ModelError, match=r"the adapter is prefix; talk to it with serving\.chat --model run"):
        check_served("prefix", "run")
    check_served("lora", "run")
    check_served(None, "run")


@pytest.mark.engine
def test_vllm_refuses_dora_itself() -> None:
    pytest.importorskip("vllm")
    from vllm.config.lora import LoRAConfig
    from vllm.lora.peft_helper import PEFTHelper

    helper = PEFTHelper.from_dict({"r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "use_dora": True})
    with pytest.raises(ValueError, match="vLLM does not yet support DoRA"):
        helper.validate_legal(LoRAConfig(max_lora_rank=8))


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["dora", "prefix"])
def test_adapter_is_not_handed_to_vllm(tmp_path: Path, kind: str) -> None:
    from configs.schema.adapters import DoraConfig, PrefixConfig
    from models.engines.adapter_sync import rank_of
    from models.load import load_model
    from tests.tiny import tiny_model

    section = DoraConfig(type="dora", r=4) if kind == "dora" else PrefixConfig(type="prefix")
    loaded = load_model(ModelConfig(name=str(tiny_model(tmp_path)), precision="fp32"), section)
    with pytest.raises((EngineError, MullError), match=f"rollout.engine: vLLM knows LoRA alone, .* {kind}"):
        rank_of(loaded.model)
