"""`sft.train` with every type of adapter: it learns, resumes bit by bit, goes back to its best checkpoint, exports."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from configs.errors import ConfigError, ModelError, RunError
from configs.recipe import validate
from configs.run_directory import read_jsonl
from configs.schema.adapters import PROMPT_TYPES
from configs.schema.sft import SftConfig
from release.export import export
from release.formats import write_exports
from sft.adapter_trainer import TRAINED, AdapterTrainer
from sft.train import train_sft
from tests.tiny_run import tiny_base
from training.finished_run import open_run

pytestmark = pytest.mark.recipe

TYPES: list[dict[str, Any]] = [
    {"type": "lora", "r": 4},
    {"type": "dora", "r": 4},
    {"type": "adalora", "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 3},
    {"type": "prefix", "virtual_tokens": 5},
    {"type": "p_tuning_v2", "virtual_tokens": 5, "hidden": 16},
    {"type": "p_tuning", "virtual_tokens": 5},
    {"type": "prompt", "virtual_tokens": 5},
]
STEPS = 10


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


def recipe(base: Path, out: Path, adapter: dict[str, Any], **changes: Any) -> SftConfig:
    trainer = {
        "max_steps": STEPS, "per_device_train_batch_size": 4, "lr_scheduler_type": "constant",
        "learning_rate": 0.1 if adapter["type"] in PROMPT_TYPES else 0.01,
    } | changes.pop("trainer", {})  # fmt: skip
    values = {
        "model": {"name": str(base), "precision": "fp32", "max_length": 1024} | changes.pop("model", {}),
        "adapter": adapter,
        "data": {"source": "arithmetic", "limit": 60},
        "output_dir": str(out),
        "trainer": trainer,
    }
    config: SftConfig = validate("sft", values | changes, "test.yaml")
    return config


def losses(out: Path, key: str = "loss") -> list[float]:
    """As they were logged; infinite where training came apart."""
    logged = [row[key] for row in read_jsonl(out / "metrics.jsonl") if key in row]
    return [math.inf if value is None else float(value) for value in logged]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(out / "adapter" / "adapter_model.safetensors"))


def ranks(out: Path) -> list[int]:
    pattern = json.loads((out / "adapter" / "adapter_config.json").read_text())["rank_pattern"]
    return [sum(kept) for kept in pattern.values()]


@pytest.mark.parametrize("adapter", TYPES, ids=lambda a: str(a["type"]))
def test_learns_and_resumes_bit_by_bit(base: Path, tmp_path: Path, adapter: dict[str, Any]) -> None:
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    out = tmp_path / "run"
    evaluation = {"problems": 4, "k": 1, "max_tokens": 8}
    config = recipe(base, out, adapter, trainer={"save_strategy": "steps", "save_steps": 5}, eval=evaluation)
    train_sft(config)
    assert losses(out)[-1] < losses(out)[0]
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before
    checkpoint = out / "checkpoints" / "checkpoint-5"
    assert (checkpoint / TRAINED).is_file() == (adapter["type"] not in ("lora", "dora"))

    whole = weights(out)
    shutil.rmtree(out / "checkpoints" / f"checkpoint-{STEPS}")
    shutil.rmtree(out / "adapter")
    train_sft(config, resume=True)
    resumed = weights(out)
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)

    again = recipe(base, tmp_path / "on", TYPES[0], model={"adapter": str(out / "adapter")}, trainer={"max_steps": 2})
    train_sft(again)
    assert losses(tmp_path / "on")[0] < losses(out)[0]


@pytest.mark.parametrize(("at", "rate"), [(2, 1.5), (4, 1.5)], ids=["adalora", "p_tuning_v2"])
def test_best_checkpoint_comes_back(base: Path, tmp_path: Path, at: int, rate: float) -> None:
    """At this rate the loss goes up again: the product is the best checkpoint's, not the last step's."""
    out = tmp_path / "run"
    train_sft(recipe(base, out, TYPES[at], validation={"every": 2, "share": 0.2}, trainer={"learning_rate": rate}))
    best = json.loads((out / "summary.json").read_text())["best_step"]
    _, *measured = losses(out, "eval_loss")  # the first is of the model before training
    assert best == 2 * (measured.index(min(measured)) + 1) < STEPS
    saved = load_file(out / "checkpoints" / f"checkpoint-{best}" / "adapter_model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in weights(out).items())


def test_before_training_is_the_base_model(base: Path, tmp_path: Path) -> None:
    """Fresh virtual tokens are drawn at random, and would be measured with it; a fresh LoRA changes nothing."""
    evaluation = {"problems": 4, "k": 1, "max_tokens": 8}
    written = []
    for at in (0, 3, 5):
        out = tmp_path / str(at)
        train_sft(recipe(base, out, TYPES[at], eval=evaluation, trainer={"max_steps": 1}))
        written.append([row["text"] for row in read_jsonl(out / "heldout_before.jsonl")])
    assert written[0] == written[1] == written[2]
    assert len(set(written[0])) > 1


def test_adaloras_ranks_reach_their_target(base: Path, tmp_path: Path) -> None:
    train_sft(recipe(base, tmp_path / "run", TYPES[2]))
    config = json.loads((tmp_path / "run" / "adapter" / "adapter_config.json").read_text())
    assert config["total_step"] == STEPS
    found = ranks(tmp_path / "run")
    assert sum(found) / len(found) == 2
    assert len(set(found)) > 1  # some keep more than others


def test_adalora_without_steps_to_shrink_is_refused(base: Path, tmp_path: Path) -> None:
    schedule = {"type": "adalora", "tinit": 6, "tfinal": 4}
    with pytest.raises(ConfigError, match=r"adapter\.tinit: 6 steps .* tfinal 4 after leave none of the 10 steps"):
        train_sft(recipe(base, tmp_path / "run", schedule))
    assert not (tmp_path / "run").exists()


def test_other_type_is_not_resumed(base: Path, tmp_path: Path) -> None:
    out, saving = tmp_path / "run", {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    train_sft(recipe(base, out, TYPES[3], trainer=saving))
    with pytest.raises(RunError, match=r"adapter\.type: prefix → prompt"):
        train_sft(recipe(base, out, TYPES[6], trainer=saving), resume=True)


def test_trainers_hooks_are_the_librarys() -> None:
    from transformers import Trainer

    for name in ("_save", "_load_from_checkpoint", "_load_best_model"):
        assert name in vars(AdapterTrainer)
        assert callable(getattr(Trainer, name))


@pytest.mark.parametrize("adapter", TYPES[1:3], ids=lambda a: str(a["type"]))
def test_merged_is_what_peft_merges(base: Path, tmp_path: Path, adapter: dict[str, Any]) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    train_sft(recipe(base, tmp_path / "run", adapter))
    out = write_exports(tmp_path / "run", ["merged16"], tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, str(tmp_path / "run" / "adapter")).merge_and_unload().state_dict()
    stored = load_file(out / "merged16" / "model.safetensors")
    assert stored.keys() == merged.keys()
    assert all(torch.equal(value, merged[name].to(torch.bfloat16)) for name, value in stored.items())


@pytest.mark.parametrize(
    ("adapter", "target"),
    [(TYPES[1], "gguf:f16"), (TYPES[2], "gguf:f16"), (TYPES[3], "adapter")],
    ids=["dora", "adalora", "prefix"],
)
def test_exports_pass_the_gate(base: Path, tmp_path: Path, adapter: dict[str, Any], target: str) -> None:
    run = tmp_path / "run"
    evaluation = {"problems": 8, "k": 1, "max_tokens": 12, "when": []}
    train_sft(recipe(base, run, adapter, eval=evaluation))
    assert open_run(run).adapter_type == adapter["type"]
    if adapter["type"] == "prefix":
        with pytest.raises(ModelError, match="changes no weight that it could be merged into"):
            export(run, ["adapter", "merged16"])
    folder = export(run, [target])
    report = json.loads((folder / "gate.json").read_text())
    figures = {(check["export"], check["name"]): check["figure"] for check in report["checks"]}
    assert report["passed"]
    assert figures[target, "apart_from_base"] > 0.9
