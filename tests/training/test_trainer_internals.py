"""What we use of Transformers' privates is there; to spell out TRL's defaults changes nothing."""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
from transformers.trainer_callback import CallbackHandler
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from tests.sources import flat, function, parse
from training.trainer_internals import LEFT_TO_UNSLOTH, load_weights, own_defaults

pytestmark = pytest.mark.engine


def values(arguments: Any) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(arguments) if field.name not in LEFT_TO_UNSLOTH]
    return {name: getattr(arguments, name) for name in names if name != "logging_dir"}


@pytest.mark.parametrize("kind", [GRPOConfig, SFTConfig])
def test_explicit_defaults_change_nothing(tmp_path: Path, kind: type) -> None:
    options: dict[str, Any] = {"use_cpu": True, "bf16": False}
    silent, spelled = kind(**options), kind(**own_defaults(kind) | options)
    assert {**values(silent), "run_name": None} == {**values(spelled), "run_name": None}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_save_checkpoint", ["self", "model", "trial"]),
        ("_load_from_checkpoint", ["self", "resume_from_checkpoint", "model"]),
        ("set_initial_training_values", ["self", "args", "dataloader"]),
    ],
)
def test_trainer_has_called_methods(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(Trainer, name)).parameters) == parameters


def test_training_values_end_with_max_steps() -> None:
    tree = parse(Path(inspect.getfile(Trainer)))
    assert "steps_in_epoch, max_steps = self.set_initial_training_values(" in flat(tree).replace(")", "")
    assert "self.callbacks = " in flat(
        function(parse(Path(inspect.getfile(CallbackHandler))), "__init__", "CallbackHandler")
    )


def test_trainer_tells_delayed_optimizer() -> None:
    source = flat(parse(Path(inspect.getfile(Trainer))))
    assert "self.is_deepspeed_enabled" in source
    assert "self.is_fsdp_enabled" in source


def test_weights_are_loaded_in_place(tmp_path: Path) -> None:
    """An engine that follows an adapter holds its tensors."""
    shape = LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=16)
    model = get_peft_model(LlamaForCausalLM(shape), LoraConfig(r=2, target_modules="all-linear"))
    trainer = Trainer(model, TrainingArguments(str(tmp_path), use_cpu=True))
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    before = {name: weight.detach().clone() for name, weight in trained.items()}
    trainer.save_model(str(tmp_path / "best"))
    with torch.no_grad():
        for weight in trained.values():
            weight.add_(1.0)
    load_weights(trainer, str(tmp_path / "best"))
    after = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    assert all(weight is trained[name] for name, weight in after.items())
    assert all(weight.equal(before[name]) for name, weight in after.items())


@pytest.mark.parametrize("kind", [GRPOTrainer, SFTTrainer])
def test_metrics_are_logged_with_the_step(kind: type) -> None:
    log = flat(function(parse(Path(inspect.getfile(kind))), "log", kind.__name__))
    assert "self._metrics[mode].items()" in log
    assert "'train' if self.model.training else 'eval'" in log


def test_upper_clip_defaults_to_lower() -> None:
    init = flat(function(parse(Path(inspect.getfile(GRPOTrainer))), "__init__", "GRPOTrainer"))
    assert "args.epsilon_high if args.epsilon_high is not None else args.epsilon" in init
