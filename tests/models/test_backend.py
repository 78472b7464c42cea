"""What can't be loaded here is refused in one line, before anything heavy is imported."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ModelError
from configs.schema.sections import ModelConfig
from models import backend


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


def test_fast_inference_needs_bnb_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unsloth.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "vllm_bnb_plugin", None)
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    config = ModelConfig(name="org/model", precision="nf4", fast_inference=True)
    with pytest.raises(ModelError, match="vllm-bnb-plugin"):
        backend.check_model_config(config)
    backend.check_model_config(config.model_copy(update={"fast_inference": False}))


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


def test_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        backend.check_model_config(ModelConfig(name=str(tmp_path)))


@pytest.mark.parametrize(("hidden", "seen"), [("", False), ("-1", False), ("0", True), ("0,1", True)])
def test_hidden_gpus_do_not_count(monkeypatch: pytest.MonkeyPatch, hidden: str, seen: bool) -> None:
    monkeypatch.setattr(backend, "GPU_DEVICES", (os.devnull,))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert backend.has_gpu() is seen
