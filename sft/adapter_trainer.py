"""TRL's `SFTTrainer` for adapters of which PEFT saves less than is trained, and AdaLoRA's shrinking ranks.

Of virtual tokens PEFT saves what a network made of them, of AdaLoRA the ranks that are left: enough to answer with, and
too little to go on from. So a checkpoint gets a file with every trained weight beside PEFT's own.
"""

from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

from configs.errors import ConfigError
from training.trainer_internals import count_steps

TRAINED = "trained.safetensors"
"""A checkpoint's file of every trained weight, and of AdaLoRA's averages by which it ranks them."""
AVERAGES = ("exp_avg_ipt", "exp_avg_unc")
"""AdaLoRA's averages of a weight's sensitivity and of its uncertainty, as PEFT calls them."""


class AdapterTrainer(SFTTrainer):  # type: ignore[misc] # trl is not typed here
    """Checkpoints hold, and give back, what `TRAINED` says."""

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        save_file(trained_state(self.model), Path(output_dir or self.args.output_dir) / TRAINED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        load_trained(self.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        load_trained(self.model, Path(self.state.best_model_checkpoint))


def trained_state(model: PeftModel) -> dict[str, torch.Tensor]:
    """Every trained weight by its name, and AdaLoRA's averages."""
    state = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    allocator = getattr(model.base_model, "rankallocator", None)
    averages = {f"{kind}/{name}": value for kind in AVERAGES for name, value in getattr(allocator, kind, {}).items()}
    return {name: value.cpu().contiguous() for name, value in (state | averages).items()}


def load_trained(model: PeftModel, checkpoint: Path) -> None:
    """Put back what `trained_state` said, and which of AdaLoRA's ranks are left."""
    state = load_file(checkpoint / TRAINED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(state[name])
    if allocator := getattr(model.base_model, "rankallocator", None):
        places = dict(model.base_model.model.named_parameters())
        for kind in AVERAGES:
            saved = {name.removeprefix(f"{kind}/"): value for name, value in state.items() if name.startswith(kind)}
            setattr(allocator, kind, {name: value.to(places[name].device) for name, value in saved.items()})
        allocator.ipt = {name: torch.zeros_like(value) for name, value in allocator.exp_avg_ipt.items()}
        model.peft_config["default"].rank_pattern = PeftConfig.from_pretrained(checkpoint).rank_pattern


class ShrinkRanks(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """AdaLoRA's budget of ranks after each optimizer step, while the gradients that it looks at are there."""

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: PeftModel, **_: object
    ) -> None:
        """Steps count from 1 for it: at the last one the budget is the target."""
        model.base_model.update_and_allocate(state.global_step + 1)


def shrink_ranks(trainer: Trainer) -> None:
    """Have AdaLoRA's ranks shrink over the trainer's steps. Raises `ConfigError` if the recipe leaves none for it."""
    config, steps = trainer.model.peft_config["default"], count_steps(trainer)
    if config.tinit >= steps - config.tfinal:
        raise ConfigError(
            f"adapter.tinit: {config.tinit} steps before ranks shrink and tfinal {config.tfinal} after leave none of "
            f"the {steps} steps for it; lower them, or train longer"
        )
    config.total_step = steps
    trainer.add_callback(ShrinkRanks())
