"""LLaMA-Factory's training arguments, a line each: where a recipe has it, why it needs nothing, what to do instead.

Their meanings and defaults are those of `src/llamafactory/hparams/` there, and of Transformers' `TrainingArguments`.
"""

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from configs.errors import ConfigError

TRACKERS = ("wandb", "tensorboard", "trackio", "swanlab")

STAGES = {"sft": "a recipe of sft", "pt": "a recipe of sft on texts, every token of which has loss"}
"""Each `stage` that is imported, and as what."""
OTHER_STAGES = {
    "rm": "reward models are not trained here; `mull grpo` takes rewards that are functions",
    "ppo": "`mull grpo` is the reinforcement learning here; its recipe names rewards",
    "dpo": "preferences are not trained here; `mull sft` learns the chosen answers, mapped with data.fields",
    "kto": "feedback is not trained here; `mull sft` learns the answers that were liked",
}

DEFAULTS = {"learning_rate": 5e-5}
"""What LLaMA-Factory takes where a file is silent, and a recipe of ours would not."""
DEFAULTS_OF_STAGE: dict[str, dict[str, Any]] = {"sft": {"mask_history": False}, "pt": {"packing": True}}
"""Each `stage` that is imported → the same, of it alone."""
DEFAULTS_OF: dict[str, dict[str, Any]] = {
    "lora": {"lora_rank": 8},
    "freeze": {"freeze_trainable_layers": 2},
    "full": {},
}
"""Each `finetuning_type` that has a counterpart → what is taken where a file with it is silent."""

STANDS = {
    "template": "the model's own chat template is used",
    "do_train": "a recipe of sft trains",
    "overwrite_output_dir": "an existing run is never overwritten",
    "overwrite_cache": "nothing is cached",
    "plot_loss": "report.html has the curve",
    "preprocessing_num_workers": "rows are tokenised in batches",
    "preprocessing_batch_size": "rows are tokenised in batches",
    "ddp_timeout": "one process trains",
    "flash_attn": "what is fast on the machine is taken",
    "enable_thinking": "rows with <think> are trained with it, rows without as plain replies",
    "quantization_method": "4 and 8 bits are bitsandbytes'",
    "quantization_type": "4 bits are nf4",
    "double_quantization": "as it is",
    "use_fast_tokenizer": "it is fast",
    "low_cpu_mem_usage": "it is low",
    "trust_remote_code": "models that Transformers knows need no code of their repository, and none is run",
    "ignore_pad_token_for_loss": "padding has no loss",
}
"""Keys that need no counterpart, and why."""

ABSENT = {
    "pissa_init": "leave it out: a LoRA starts at zero",
    "loraplus_lr_ratio": "leave it out: both matrices have one learning rate",
    "additional_target": "leave it out: a LoRA is on linear layers alone",
    "freeze_trainable_modules": "whole layers are trained",
    "freeze_extra_modules": "leave it out: the last layers alone are trained",
    "use_llama_pro": "leave it out: no layers are added",
    "use_galore": "leave it out, or set another trainer.optim",
    "use_apollo": "leave it out, or set another trainer.optim",
    "use_badam": "leave it out, or train fewer layers: trained_layers",
    "use_adam_mini": "leave it out, or set another trainer.optim",
    "use_muon": "leave it out, or set another trainer.optim",
    "deepspeed": "the launcher says it: accelerate launch --config_file configs/accelerate/zero2.yaml",
    "fsdp": "the launcher says it: accelerate launch --config_file configs/accelerate/fsdp2.yaml",
    "default_system": "name a system column in the registry, or a task with a system",
    "tool_format": "tool calls are not trained",
    "resize_vocab": "the vocabulary stays",
    "add_tokens": "the vocabulary stays",
    "add_special_tokens": "the vocabulary stays",
    "rope_scaling": "set it in the model's config.json",
    "shift_attn": "leave it out, or lower model.max_length",
    "streaming": "rows are read at once; set data.limit",
    "tokenized_path": "rows are tokenised when the run starts; give the data set itself",
    "create_new_adapter": "training goes on with the adapter; for a new one merge it first (`mull export`)",
    "mix_strategy": "set sources[].share in the mix",
    "interleave_probs": "set sources[].share in the mix",
    "compute_accuracy": "name an eval section with held-out problems",
    "predict_with_generate": "run `mull evaluate` on the run",
    "do_predict": "run `mull evaluate` on the run",
    "do_eval": "name a validation section",
    "eval_on_each_dataset": "validation.data is one source",
    "disable_shuffling": "set trainer.train_sampling_strategy=sequential",
    "use_dft_loss": "set trainer.loss_type=dft",
    "model_revision": "download the revision, and give its folder as model.name",
    "cache_dir": "set the environment variable HF_HOME",
    "hf_hub_token": "a recipe is published with its model: run `hf auth login`, or set HF_TOKEN",
    "swanlab_workspace": "set the environment variable SWANLAB_WORKSPACE",
    "swanlab_api_key": "keys never stand in a recipe: set the environment variable SWANLAB_API_KEY",
    "media_dir": "models here read text alone",
}
"""Keys without a counterpart, and what to do instead; nothing where the key is off."""
OFF = {"freeze_trainable_modules": "all", "mix_strategy": "concat"}
"""The values at which such a key asks for nothing, where that is not false, null or empty."""
SWITCH = dict.fromkeys(("true", "yes", "on", "t", "y", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "f", "n", "0"), False
)
"""How a switch may be written: as `HfArgumentParser` of Transformers takes it, and YAML."""
SECRETS = ("hf_hub_token", "hub_token", "ms_hub_token", "om_hub_token", "swanlab_api_key")


class WithoutCounterpart(Exception):
    """Why a value can't be taken, and what to do instead."""


def switch(value: Any) -> bool:
    """Whether it is on. Raises `ValueError` for what is no switch."""
    word = str(value).strip().lower()
    if word not in SWITCH:
        raise ValueError(f"{value!r} is no switch")
    return SWITCH[word]


def as_kind(value: Any, kinds: Collection[type]) -> Any:
    """A value as what its key takes: a text that is a number, and a text or 0 or 1 that is a switch; others as they
    are, for the key's own check."""
    if bool in kinds and str(value).strip().lower() in SWITCH:
        return switch(value)
    for kind in (int, float) if isinstance(value, str) else ():
        with suppress(ValueError):
            if kind in kinds and math.isfinite(number := kind(value)):
                return number
    return value


def whole(key: str, value: Any) -> int:
    """A whole number. Raises `ConfigError`."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{key}: expected a whole number, found {value!r}") from None


def _layers(value: Any) -> int:
    if int(value) < 1:
        raise WithoutCounterpart("the last layers are trained, not the first; give a number above 0")
    return int(value)


def _modules(value: Any) -> str | list[str]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else list(value)
    return "all-linear" if names == ["all"] else names


def _tracker(value: Any) -> str | None:
    names = [str(name) for name in value] if isinstance(value, list) else str(value).split(",")
    if names in (["none"], ["None"], ["False"]):
        return None
    if known := [name for name in names if name in TRACKERS]:
        return known[0]
    raise WithoutCounterpart(f"set tracking.to to one of {', '.join(TRACKERS)}")


def _share(value: Any) -> float:
    if float(value) >= 1:
        raise WithoutCounterpart("validation.share is a part of the rows, not their number; set it (0.05 unless set)")
    return float(value)


def _steps(value: Any) -> int:
    if 0 < float(value) < 1:
        raise WithoutCounterpart("validation.every is a number of steps; set it")
    return int(value)


def _evaluated(value: Any) -> None:
    if value == "epoch":
        raise WithoutCounterpart("validation.every is a number of steps; set it")


NUMBERS = ("val_size", "max_samples", "quantization_bit")
"""Numbers that are looked at before they are taken."""
HALVES = ("bf16", "fp16", "pure_bf16")
"""Switches for 16 bits."""
TAKEN: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "model_name_or_path": ("model.name", str),
    "adapter_name_or_path": ("model.adapter", str),
    "cutoff_len": ("model.max_length", int),
    "use_unsloth": ("model.backend", lambda on: "unsloth" if switch(on) else None),
    "lora_rank": ("adapter.r", int),
    "lora_alpha": ("adapter.alpha", int),
    "lora_dropout": ("adapter.dropout", float),
    "lora_target": ("adapter.target_modules", _modules),
    "use_rslora": ("adapter.rslora", switch),
    "use_dora": ("adapter.type", lambda on: "dora" if switch(on) else None),
    "freeze_trainable_layers": ("trained_layers", _layers),
    "max_samples": ("data.limit", int),
    "val_size": ("validation.share", _share),
    "eval_steps": ("validation.every", _steps),
    "eval_strategy": ("validation.every", _evaluated),
    "evaluation_strategy": ("validation.every", _evaluated),
    "early_stopping_steps": ("validation.patience", int),
    "report_to": ("tracking.to", _tracker),
    "use_swanlab": ("tracking.to", lambda on: "swanlab" if switch(on) else None),
    "swanlab_project": ("tracking.project", str),
    "swanlab_mode": ("tracking.mode", lambda mode: "online" if mode == "cloud" else "offline"),
    "swanlab_run_name": ("trainer.run_name", str),
    "mask_history": ("loss_on", lambda on: None if switch(on) else "all_turns"),
    "train_on_prompt": ("trainer.completion_only_loss", lambda on: False if switch(on) else None),
    "packing": ("trainer.packing", switch),
    "neat_packing": ("trainer.packing", switch),
    "warmup_ratio": ("trainer.warmup_steps", float),
    "enable_liger_kernel": ("trainer.use_liger_kernel", switch),
    "disable_gradient_checkpointing": ("trainer.gradient_checkpointing", lambda off: False if switch(off) else None),
    "seed": ("seed", int),
    "output_dir": ("output_dir", str),
}
"""Key → (the recipe's key, its value there); a value of None stands by default."""

TOGETHER = (
    *("stage", "finetuning_type", "dataset", "dataset_dir", "eval_dataset"),
    *("quantization_bit", *HALVES),
)
"""Keys that are read together, by `_tuning`, `_precision` and `_data` of `configs.llamafactory`."""
