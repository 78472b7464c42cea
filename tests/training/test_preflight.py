"""The doctor's lines that need no weights: each says what it saw and what to do."""

import copy
import importlib
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from configs.errors import RunError
from configs.recipe import load_recipe
from configs.schema.sections import ModelConfig
from data.think_format import S1
from models.gpu import Gpu
from models.tokenizer import load_tokenizer
from tests.tiny import as_base_model, tiny_model
from training import preflight

ROOT = Path(__file__).parents[2]
PROMPT = "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n<|im_start|>think\n"


def test_pins_match_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = project["dependencies"] + project["optional-dependencies"]["gpu"]
    for name, pin in (preflight.PINS | preflight.GPU_PINS).items():
        assert any(need in (f"{name}=={pin}", f"{name}<5") or need.startswith(f"{name}>={pin}") for need in needs)


def test_other_version_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight.versions().state == "passed"
    monkeypatch.setitem(preflight.PINS, "trl", "1.2.3")
    found = preflight.versions()
    assert (found.state, "pinned 1.2.3" in found.text) == ("warned", True)
    for gpu, fix in ((True, "pip install --no-deps -r requirements/gpu.txt"), (False, "make -B install")):
        monkeypatch.setattr(preflight, "has_gpu", lambda gpu=gpu: gpu)
        assert preflight.versions().fix == fix


def test_missing_bnb_plugin_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in preflight.GPU_PINS.items():
        folder = tmp_path / f"{name.replace('-', '_')}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert preflight.versions().state == "passed"
    shutil.rmtree(tmp_path / "vllm_bnb_plugin.dist-info")
    importlib.invalidate_caches()
    found = preflight.versions()
    assert found.text == "vllm-bnb-plugin missing (pinned 0.0.3)"
    assert found.fix == "pip install --no-deps -r requirements/gpu.txt"


def test_oversized_weights_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_recipe("grpo", "demo", ["model.precision=bf16"])
    assert preflight.memory(config).state == "passed"
    monkeypatch.setattr(preflight, "device", lambda: ("a small GPU", 280_000_000))
    assert preflight.memory(config).state == "failed"
    monkeypatch.setattr(preflight, "device", lambda: ("a small GPU", 480_000_000))
    assert preflight.memory(config).state == "warned"


def test_missing_prefill_warns(tokenizer: Any) -> None:
    assert preflight.rendered(PROMPT, tokenizer, S1).state == "passed"
    assert preflight.rendered(PROMPT.removesuffix(S1.prefill), tokenizer, S1).state == "warned"


def test_doubled_bos_fails(tokenizer: Any) -> None:
    twice = copy.deepcopy(tokenizer)
    twice.bos_token = "<|endoftext|>"
    assert preflight.rendered("<|endoftext|><|endoftext|>" + PROMPT, twice, S1).state == "failed"


def test_pad_equal_to_eos_warns(tokenizer: Any) -> None:
    assert preflight.special_tokens(tokenizer).state == "passed"
    same = copy.deepcopy(tokenizer)
    same.pad_token = same.eos_token
    assert preflight.special_tokens(same).state == "warned"
    same.eos_token = None
    assert preflight.special_tokens(same).state == "failed"


def test_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_recipe("grpo", "demo")
    assert preflight.disk(tmp_path / "not" / "there", config).state == "passed"
    monkeypatch.setattr(preflight, "SPARE_DISK", 1 << 60)
    assert preflight.disk(tmp_path, config).state == "failed"


def test_only_failures_stop_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    warned = preflight.Finding("disk", "warned", "nearly full", "tidy up")
    preflight.refuse([warned, preflight.passed("hub", "fine")])
    assert capsys.readouterr().out == "warned  disk: nearly full → tidy up\n"
    with pytest.raises(RunError, match="disk: full; tidy up"):
        preflight.refuse([preflight.Finding("disk", "failed", "full", "tidy up")])


def test_changed_end_of_turn_warns(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(ModelConfig(name=str(as_base_model(tiny_model(tmp_path / "base")))))
    finding = preflight.special_tokens(tokenizer)
    assert finding.state == "warned"
    assert "files name '<|endoftext|>', the chat template ends turns with '<|im_end|>'" in finding.text


@pytest.mark.parametrize(
    ("capability", "driver", "overrides", "state"),
    [
        ((9, 0), "580.65", [], "passed"),
        ((7, 5), "580.65", [], "passed"),
        ((7, 5), "570.1", [], "failed"),
        ((6, 1), "580.65", [], "failed"),
        ((7, 5), "580.65", ["adapter=null", "model.precision=bf16"], "failed"),  # its scaler takes no fp16 weights
        ((7, 5), "580.65", ["adapter=null", "model.precision=fp32"], "passed"),
    ],
)
def test_gpu_is_checked_before_weights(
    capability: tuple[int, int], driver: str, overrides: list[str], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "visible_gpus", lambda: (Gpu(0, "GPU-1", "a GPU", capability, driver),))
    assert preflight.gpu(load_recipe("sft", "demo", overrides)).state == state
