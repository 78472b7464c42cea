"""TRL's `SFTTrainer` as a recipe wants it: what is trained, on which rows, with which checkpoints."""

from typing import Any

import torch
from datasets import Dataset
from transformers import EarlyStoppingCallback, PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from configs.errors import ConfigError
from configs.run_directory import RunDir, read_jsonl
from configs.schema.adapters import PREFIX_TYPES
from configs.schema.sft import SftConfig, ValidationConfig
from data.prompts import turn_end
from models.adapters import type_on
from models.load import LoadedModel
from models.packed_attention import packing
from sft import dataset
from sft.adapter_trainer import AdapterTrainer, shrink_ranks
from sft.first_batch import check_loss, check_packing
from sft.prepare import Prepared
from training.run_callback import RunCallback
from training.trainer import build_trainer, run_training, trainer_arguments

SFT_METRICS = ("loss", "token_accuracy", "eval_loss", "tokens_per_second")


def build_sft_trainer(config: SftConfig, loaded: LoadedModel, data: Prepared, run: RunDir) -> SFTTrainer:
    """The trainer, its rows tokenised already: TRL neither templates nor cuts them."""
    if config.trained_layers:
        freeze(loaded.model, config.trained_layers)
    kind = type_on(loaded.model)
    callbacks: list[TrainerCallback] = [RunCallback(run, SFT_METRICS)]
    decided: dict[str, Any] = {"max_length": config.model.max_length, **trained_end_of_turn(loaded.tokenizer)}
    if config.validation:
        decided |= checkpoints(config.validation)
        if config.validation.patience:
            callbacks.append(EarlyStoppingCallback(config.validation.patience))
    if kind in PREFIX_TYPES:
        decided["gradient_checkpointing"] = False
        if torch.cuda.is_available():
            print(f"gradient_checkpointing: off, for checkpointed layers have no cache, and {kind} is one")
    trainer = build_trainer(
        SFTTrainer if kind in (None, "lora", "dora") else AdapterTrainer,
        model=loaded.model,
        args=trainer_arguments(TrlConfig, config, run, **decided),
        train_dataset=Dataset.from_dict(dataset.arrow_columns(data.train)),
        eval_dataset=Dataset.from_dict(dataset.arrow_columns(data.validation)) if data.validation else None,
        processing_class=loaded.tokenizer,
        callbacks=callbacks,
    )
    if kind == "adalora" and config.model.adapter is None:
        shrink_ranks(trainer)
    return trainer


def freeze(model: PreTrainedModel, layers: int) -> None:
    """Train the last `layers` decoder layers alone. Raises `ConfigError` if the model has fewer."""
    stack = model.get_decoder().layers
    if layers > len(stack):
        raise ConfigError(f"trained_layers: {layers}; the model has {len(stack)} layers")
    model.requires_grad_(False)
    for layer in stack[-layers:]:
        layer.requires_grad_(True)


def trained_end_of_turn(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """`eos_token` for TRL, where the template ends a turn with another token than the tokenizer's own EOS.

    The saved tokenizer and generation config then stop where the model was trained to stop.
    """
    end = turn_end(tokenizer)
    return {"eos_token": end} if end != tokenizer.eos_token and end in tokenizer.get_vocab() else {}


def checkpoints(validation: ValidationConfig) -> dict[str, Any]:
    """Measure before the first step, then measure and save together, and keep the best and the last."""
    return {
        "eval_on_start": True,
        "eval_strategy": "steps",
        "eval_steps": validation.every,
        "save_strategy": "steps",
        "save_steps": validation.every,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
    }


def train(trainer: SFTTrainer, config: SftConfig, run: RunDir, resume: bool) -> None:
    """Train, or go on; see `training.trainer.run_training`."""
    with packing(trainer.model, bool(config.trl_setting("packing"))):
        run_training(trainer, run, resume)


def summarise(trainer: SFTTrainer, run: RunDir) -> dict[str, Any]:
    """Figures for the summary of a training that has ended."""
    rows = list(read_jsonl(run / "metrics.jsonl"))
    speeds = sorted(row["tokens_per_second"] for row in rows if row.get("tokens_per_second"))
    figures = {"steps": trainer.state.global_step, "tokens_per_second": speeds[len(speeds) // 2] if speeds else None}
    if trainer.state.best_metric is not None:
        loss, best = trainer.state.best_metric, trainer.state.best_global_step
        before = next((row["eval_loss"] for row in rows if row["step"] == 0 and "eval_loss" in row), None)
        figures |= {"validation_loss_before": before, "validation_loss": loss, "best_step": best}
        change = "" if before is None else f"; before training {with_perplexity(before)}"
        print(f"best validation loss {with_perplexity(loss)}, at step {best}: that checkpoint is kept{change}")
    return figures


def with_perplexity(loss: float) -> str:
    """A mean loss a token, and its perplexity, which is infinite where a training has come apart."""
    return f"{loss:.4f} (perplexity {torch.tensor(loss, dtype=torch.float64).exp().item():.2f})"


def check_first_batch(trainer: SFTTrainer, config: SftConfig, data: Prepared) -> None:
    """Print what carries loss in the batch that comes first, and that packed rows don't see each other."""
    with torch.random.fork_rng():  # a look must not change what is drawn later
        batch = next(iter(trainer.get_train_dataloader()))
    tokenizer = trainer.processing_class
    end = tokenizer(turn_end(tokenizer), add_special_tokens=False)["input_ids"]
    print(check_loss(batch, data.train, tokenizer, end, config.trained_tokens, config.truncation == "cut"))
    if "position_ids" in batch:
        with packing(trainer.model, True):
            print(check_packing(batch, trainer.model))
