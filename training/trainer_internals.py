"""What reaches into Transformers' `Trainer` and into Unsloth's config classes; each line is pinned by a test.

The tests are `tests/training/test_trainer_internals.py` and, with the real Unsloth, `tests/unsloth/checks_training.py`:
a library that changes a name fails there, not in a run.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from accelerate.utils import save_fsdp_model
from transformers import Trainer, TrainerCallback, TrainingArguments

LEFT_TO_UNSLOTH = ("bf16", "fp16", "router_aux_loss_coef")
"""Fields that a silent recipe leaves to Unsloth's class: its autocast follows the weights that it loaded, and its loss
has no router term."""

REWRITTEN = ("epsilon_high", "mask_truncated_completions", "scale_rewards")
"""Fields that Unsloth's class changes although they were passed, for some `loss_type`s."""


class CallbackHandler(Protocol):
    """Transformers' list of a trainer's callbacks."""

    callbacks: list[TrainerCallback]


def own_class(config_class: type[TrainingArguments]) -> type[TrainingArguments]:
    """TRL's class where `config_class` is Unsloth's subclass of it, which has the same name and other defaults."""
    return next(base for base in config_class.__mro__ if not getattr(base, "_unsloth_patched_rl_config", False))


def own_defaults(config_class: type[TrainingArguments]) -> dict[str, Any]:
    """TRL's default of every field, to be passed on so that no other class's takes its place."""
    fields = [field for field in dataclasses.fields(own_class(config_class)) if field.init]
    return {field.name: _default(field) for field in fields if field.name not in LEFT_TO_UNSLOTH}


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def build_arguments(config_class: type[TrainingArguments], values: Mapping[str, Any]) -> TrainingArguments:
    """`config_class(**values)` as TRL's own class makes it of them."""
    arguments = config_class(**values)
    if own_class(config_class) is not config_class:
        meant = own_class(config_class)(**values)
        for name in REWRITTEN:
            if hasattr(meant, name):
                setattr(arguments, name, getattr(meant, name))
    return arguments


def name_cpu() -> None:
    """Have accelerate call the device "cpu" on a machine without a GPU.

    In one of several processes it says "cpu:0" otherwise, under which torch loads no optimizer of a checkpoint.
    """
    os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")


def callbacks_of(handler: CallbackHandler) -> list[TrainerCallback]:
    """A trainer's callbacks."""
    return handler.callbacks


def write_checkpoint(trainer: Trainer) -> None:
    """Save a checkpoint of the step that `trainer` is at."""
    trainer._save_checkpoint(trainer.model, trial=None)


def log_with_step(trainer: Trainer, figures: Mapping[str, float]) -> None:
    """Have TRL's trainer log figures with those of the step that it is at, for trackers and for our rows alike."""
    for name, value in figures.items():
        trainer._metrics["train"][name].append(value)


def save_weights(trainer: Trainer, folder: str) -> None:
    """Write the trainer's model as `load_weights` reads it. By all processes."""
    trainer.save_model(folder)
    if trainer.is_fsdp_enabled:  # it reads a file of its own
        save_fsdp_model(
            trainer.accelerator.state.fsdp_plugin, trainer.accelerator, trainer.model, folder, adapter_only=True
        )


def load_weights(trainer: Trainer, checkpoint: str) -> None:
    """Put a checkpoint's weights into the trainer's model. By all processes."""
    trainer._load_from_checkpoint(checkpoint)


def count_steps(trainer: Trainer) -> int:
    """How many steps training has: `max_steps`, or what Transformers makes of the epochs."""
    if trainer.args.max_steps > 0:
        return int(trainer.args.max_steps)
    with torch.random.fork_rng():  # a look must not change what is drawn later
        return int(trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())[-1])


def gathered_weights(trainer: Trainer) -> dict[str, torch.Tensor] | None:
    """The trained model's weights on the first process, where each holds a part of them; None where all hold all.

    By all processes.
    """
    if not trainer.is_fsdp_enabled:
        return None
    state: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return state


def is_sharded_late(trainer: Trainer) -> bool:
    """Whether the optimizer is made of the wrapped model, once training starts."""
    return bool(trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled)
