"""What can't be loaded here is refused in one line, before anything heavy is imported."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, ModelError
from configs.recipe import validate
from configs.schema.sections import ModelConfig
from models import backend
from rl.grpo import check_recipe


@pytest.mark.parametrize(
    ("precision", "words"),
    [
        ("nf4", r"needs vLLM's bitsandbytes plugin; run `pip install --no-deps vllm-bnb-plugin`"),
        ("int8", "4 bits alone, not to int8; take nf4 or bf16"),
    ],
)
def test_vllm_refuses_unsupported_weights(precision: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm_bnb_plugin", None)  # as where it is not installed
    with pytest.raises(ModelError, match=words):
        backend.check_vllm(precision)
    backend.check_vllm("bf16")


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with a GPU, Unsloth and bitsandbytes; neither is imported."""
    for name in ("unsloth", "bitsandbytes", "vllm_bnb_plugin"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    monkeypatch.delenv(backend.RUNNER, raising=False)


def training(stage: str, **sections: Any) -> Any:
    common: dict[str, Any] = {
        "model": {"name": "org/model"},
        "data": {"source": "arithmetic"},
        "trainer": {"num_generations": 4},
    }
    common |= dict[str, Any](rewards=[{"name": "correctness"}]) if stage == "grpo" else {"trainer": {}}
    return validate(stage, common | sections, "test.yaml")


@pytest.mark.usefixtures("gpu")
def test_fast_inference_needs_bnb_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm_bnb_plugin", None)
    config = ModelConfig(name="org/model", backend="unsloth", precision="nf4", fast_inference=True)
    with pytest.raises(ModelError, match="vllm-bnb-plugin"):
        backend.check_model_config(config)
    backend.check_model_config(config.model_copy(update={"fast_inference": False}))


FAST = {"name": "org/model", "fast_inference": True}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("stage", "sections", "chosen", "why"),
    [
        ("sft", {}, ("unsloth", "nf4"), "a GPU and unsloth are here"),
        ("sft", {"eval": {"problems": 2}}, ("transformers", "nf4"), "fast_inference is off"),
        ("sft", {"eval": {"problems": 2}, "model": FAST}, ("unsloth", "nf4"), "a GPU"),
        ("sft", {"eval": {"problems": 2, "when": []}}, ("unsloth", "nf4"), "a GPU"),
        ("sft", {"adapter": None}, ("transformers", "bf16"), "every weight is trained"),
        ("grpo", {}, ("transformers", "nf4"), "fast_inference is off"),
        ("grpo", {"model": FAST}, ("unsloth", "nf4"), "a GPU"),
        ("grpo", {"model": FAST, "rollout": {"engine": "unsloth"}}, ("unsloth", "nf4"), "a GPU"),
        ("grpo", {"model": FAST, "rollout": {"engine": "vllm"}}, ("transformers", "nf4"), "rollout.engine is vllm"),
        ("grpo", {"model": FAST, "rollout": {"engine": "transformers"}}, ("transformers", "nf4"), "is transformers"),
    ],
)
def test_auto_takes_unsloth_where_it_fits(
    stage: str, sections: dict[str, Any], chosen: tuple[str, str], why: str
) -> None:
    config = training(stage, **sections)
    choice = backend.choose_backend(config.model, config)
    assert (choice.backend, choice.precision) == chosen
    assert why in choice.why
    assert backend.choose_backend(config.model).backend == "transformers"  # as for a model that is not trained


@pytest.mark.usefixtures("gpu")
def test_unsloth_without_its_vllm_is_refused() -> None:
    slow = {"name": "org/model", "backend": "unsloth"}
    config = training("grpo", model=slow)
    with pytest.raises(ModelError, match=r"set model\.fast_inference=true, or model\.backend=transformers"):
        backend.check_model_config(config.model, config)
    for fine in (training("grpo", model=slow, rollout={"engine": "vllm"}), training("sft", model=slow)):
        backend.check_model_config(fine.model, fine)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("engine", "fast", "message"),
    [
        ("vllm", True, r"two vLLMs on one GPU; set rollout\.engine=auto, or model\.fast_inference=false"),
        ("transformers", True, r"can't drive a model that Unsloth has loaded; set model\.backend=transformers, or"),
        ("transformers", False, r"rollout\.engine=auto with model\.fast_inference=true"),
        ("unsloth", False, r"set model\.fast_inference=true, or model\.backend=transformers"),
    ],
)
def test_unsloth_beside_another_engine_is_refused(engine: str, fast: bool, message: str) -> None:
    model = {"name": "org/model", "backend": "unsloth", "fast_inference": fast}
    with pytest.raises(ModelError, match=message):
        check_recipe(training("grpo", model=model, rollout={"engine": engine}))


@pytest.mark.usefixtures("gpu")
def test_unsloths_vllm_is_16_bits_at_most() -> None:
    config = training("grpo", model=FAST | {"precision": "fp32"})
    with pytest.raises(ModelError, match="computes in 16 bits, not in fp32; take bf16 or nf4"):
        backend.check_model_config(config.model, config)


def test_sleep_mode_needs_a_gpu_to_free(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeping = training("grpo", rollout={"engine": {"name": "vllm", "sleep_mode": True}})
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    check_recipe(sleeping)
    monkeypatch.setattr(backend, "has_gpu", lambda: False)
    with pytest.raises(ModelError, match=r"rollout\.engine: sleep_mode frees GPU memory .* no GPU; leave it out"):
        check_recipe(sleeping)


def test_sleep_mode_is_of_vllm_alone() -> None:
    with pytest.raises(ConfigError, match="sleep_mode: goes with `name: vllm`, and the name is transformers"):
        training("grpo", rollout={"engine": {"name": "transformers", "sleep_mode": True}})


@pytest.mark.usefixtures("gpu")
def test_only_a_budget_takes_the_v1_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    check_recipe(training("grpo", model=FAST))
    assert backend.RUNNER not in os.environ
    budgeted = training("grpo", model=FAST, rollout={"budget": {"max_thinking": 8, "max_answer": 16}})
    check_recipe(budgeted)
    assert os.environ[backend.RUNNER] == "0"
    os.environ[backend.RUNNER] = "1"
    check_recipe(training("grpo", model=FAST))
    with pytest.raises(ModelError, match="unset it, or leave the budget out"):
        check_recipe(budgeted)


@pytest.mark.usefixtures("gpu")
def test_unsloth_has_no_reference_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/model"}')
    (tmp_path / "adapter_model.safetensors").touch()
    start, beta = {"adapter": str(tmp_path)}, {"num_generations": 4, "beta": 0.1}
    with pytest.raises(ConfigError, match="the distance to the base model"):
        check_recipe(training("grpo", model=FAST | start, trainer=beta))
    check_recipe(training("grpo", model=FAST, trainer=beta))
    check_recipe(training("grpo", model={"name": "org/model"} | start, trainer=beta))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "no such model"}, "is no folder, no GGUF file and no hub id"),
        ({"name": "smollm2-135m", "adapter": "/nowhere"}, "holds no adapter_config.json"),
        ({"name": "Qwen/Qwen2.5-1.5B-Instruct", "backend": "unsloth"}, "--config gsm8k_cpu.yaml"),
    ],
)
def test_bad_model_section_is_refused(fields: dict[str, Any], message: str) -> None:
    if backend.has_gpu() and "backend" in fields:
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match=message):
        backend.check_model_config(ModelConfig(**fields))


def test_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    for name, content in (("model.safetensors", b"\x40\0\0"), ("model.gguf", b"version https://git-lfs")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=rf"{name} is a file, and no GGUF file .*; name the model's folder"):
            backend.check_model_config(ModelConfig(name=str(tmp_path / name)))
    (tmp_path / "sha256-0123").write_bytes(b"GGUF\x03\0\0\0")
    backend.check_model_config(ModelConfig(name=str(tmp_path / "sha256-0123")))


def test_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        backend.check_model_config(ModelConfig(name=str(tmp_path)))


@pytest.mark.parametrize(("hidden", "seen"), [("", False), ("-1", False), ("0", True), ("0,1", True)])
def test_hidden_gpus_do_not_count(monkeypatch: pytest.MonkeyPatch, hidden: str, seen: bool) -> None:
    monkeypatch.setattr(backend, "GPU_DEVICES", (os.devnull,))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert backend.has_gpu() is seen
