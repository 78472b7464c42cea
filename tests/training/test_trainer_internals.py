"""What we use of Transformers' privates is there; a silent recipe means TRL's defaults under Unsloth's class too."""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
from accelerate import DistributedType
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
from transformers.trainer_callback import CallbackHandler
from trl import GRPOConfig, GRPOTrainer, SFTConfig

from configs.errors import ConfigError
from configs.recipe import load_recipe
from configs.run_directory import RunDir
from tests.sources import flat, function, parse, unsloth_packages
from training.trainer import trainer_arguments
from training.trainer_internals import (
    LEFT_TO_UNSLOTH,
    REWRITTEN,
    check_whole_weights,
    own_class,
    own_defaults,
    shards_weights,
)

pytestmark = pytest.mark.engine


class UnslothGRPOConfig(GRPOConfig):  # type: ignore[misc] # TRL is not typed
    """As Unsloth generates it: a subclass whose signature has other defaults, and that rewrites some values."""

    def __init__(
        self,
        per_device_train_batch_size: int = 4,
        gradient_accumulation_steps: int = 2,
        learning_rate: float = 5e-5,
        weight_decay: float = 0.001,
        warmup_steps: float = 0.1,
        logging_nan_inf_filter: bool = False,
        vllm_importance_sampling_correction: bool = False,
        loss_type: str | None = None,
        epsilon_high: float | None = None,
        **kwargs: Any,
    ) -> None:
        if loss_type == "dapo" and epsilon_high is None:
            epsilon_high = 0.28
        super().__init__(
            per_device_train_batch_size=per_device_train_batch_size,
            gradient_accumulation_steps=gradient_accumulation_steps,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            logging_nan_inf_filter=logging_nan_inf_filter,
            vllm_importance_sampling_correction=vllm_importance_sampling_correction,
            loss_type=loss_type or "dapo",
            epsilon_high=epsilon_high,
            **kwargs,
        )


def values(arguments: Any) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(arguments) if field.name not in LEFT_TO_UNSLOTH]
    return {name: getattr(arguments, name) for name in names if name != "logging_dir"}


def test_unset_fields_keep_trl_defaults(tmp_path: Path) -> None:
    config = load_recipe("grpo", "demo", ["trainer={num_generations: 4}", "model.backend=transformers"])
    run = RunDir(tmp_path)
    plain, unsloth = (trainer_arguments(kind, config, run) for kind in (GRPOConfig, UnslothGRPOConfig))
    assert type(unsloth) is UnslothGRPOConfig
    assert values(unsloth) == values(plain)
    assert unsloth.per_device_train_batch_size == config.trl_setting("per_device_train_batch_size") == 8


def test_unsloth_rewrites_are_undone(tmp_path: Path) -> None:
    config = load_recipe("grpo", "demo", ["trainer.loss_type=dapo"])
    assert UnslothGRPOConfig(use_cpu=True, bf16=False, loss_type="dapo").epsilon_high == 0.28
    assert trainer_arguments(UnslothGRPOConfig, config, RunDir(tmp_path)).epsilon_high is None


def test_recipe_value_wins(tmp_path: Path) -> None:
    config = load_recipe("grpo", "demo", ["trainer.weight_decay=0.01", "trainer.epsilon_high=0.3"])
    arguments = trainer_arguments(UnslothGRPOConfig, config, RunDir(tmp_path))
    assert arguments.weight_decay == 0.01
    assert arguments.epsilon_high == 0.3


@pytest.mark.parametrize("kind", [GRPOConfig, SFTConfig])
def test_explicit_defaults_change_nothing(tmp_path: Path, kind: type) -> None:
    options: dict[str, Any] = {"use_cpu": True, "bf16": False}
    silent, spelled = kind(**options), kind(**own_defaults(kind) | options)
    assert {**values(silent), "run_name": None} == {**values(spelled), "run_name": None}


def test_unsloth_source_has_known_rewrites() -> None:
    source = (unsloth_packages() / "unsloth/models/rl.py").read_text(encoding="utf-8")
    assert "class Unsloth{RLConfig_name}({RLConfig_name}):" in source
    assert own_class(UnslothGRPOConfig) is GRPOConfig
    assert own_class(SFTConfig) is SFTConfig
    for name in REWRITTEN:
        assert f'"        {name} = ' in source or f'" {name} = ' in source


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


def test_upper_clip_defaults_to_lower() -> None:
    init = flat(function(parse(Path(inspect.getfile(GRPOTrainer))), "__init__", "GRPOTrainer"))
    assert "args.epsilon_high if args.epsilon_high is not None else args.epsilon" in init


@pytest.mark.parametrize(
    ("kind", "stage", "is_refused"),
    [
        (DistributedType.NO, 0, False),
        (DistributedType.MULTI_GPU, 0, False),
        (DistributedType.DEEPSPEED, 2, False),
        (DistributedType.DEEPSPEED, 3, True),
        (DistributedType.FSDP, 0, True),
    ],
)
def test_weights_in_parts_are_refused(kind: DistributedType, stage: int, is_refused: bool) -> None:
    assert shards_weights(kind, stage) is is_refused


def test_refusal_names_what_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LlamaForCausalLM(LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=16))
    trainer = Trainer(model, TrainingArguments(str(tmp_path), use_cpu=True))
    check_whole_weights(trainer)
    monkeypatch.setattr(trainer.accelerator.state, "distributed_type", DistributedType.FSDP)
    with pytest.raises(ConfigError, match=r"take DDP or ZeRO-2 \(rollout\.engine: vllm"):
        check_whole_weights(trainer)
