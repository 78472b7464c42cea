"""A recipe → the micro-batch that its steps train on, for the estimates of memory and time; torch is not imported."""

from dataclasses import dataclass, replace
from typing import Any

from configs.schema.adapters import VirtualTokensConfig
from configs.schema.grpo import GrpoConfig
from configs.schema.sft import SftConfig
from configs.schema.training import TrainingConfig
from models.adapter_files import LINEAR, check_adapter
from models.adapter_types import adapter_type, checkpoints_activations
from models.backend import choose_backend, has_gpu
from models.source import base_of, source_of
from models.weights import count_weights
from training.step_memory import HELD, Shape, Step, peak


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model as it will be held: its sizes, by which backend, in which precision, on a GPU or not."""

    shape: Shape
    backend: str
    precision: str
    on_gpu: bool


def loaded_here(config: TrainingConfig) -> Loaded:
    """The recipe's model as this machine would load it."""
    from transformers import AutoConfig

    source = source_of(base_of(config.model))
    choice = choose_backend(config.model, config)
    shape = Shape.of(AutoConfig.from_pretrained(source).get_text_config(), count_weights(source))
    return Loaded(shape, choice.backend, choice.precision, has_gpu())


def grpo_step(config: GrpoConfig, longest_prompt: int, loaded: Loaded | None = None) -> Step:
    """A micro-batch of the longest prompts and completions: one sequence that shares prompts, or Unsloth's rows."""
    rows, completion = int(config.trl_setting("per_device_train_batch_size")), config.completion_length
    step = _step(
        config,
        loaded,
        rows=rows,
        length=longest_prompt + completion,
        kept=completion,
        loss="grpo",
        is_masked=rows > 1,
        has_reference=config.trains_every_weight and bool(config.trl_setting("beta")),
    )
    if step.is_unsloth:
        return step
    prompts = -(-rows // int(config.trl_setting("num_generations")))
    packed = prompts * longest_prompt + rows * (completion - 1)
    return replace(step, rows=1, length=packed, kept=rows * completion, is_masked=False)


def sft_step(config: SftConfig, longest: int, loaded: Loaded | None = None) -> Step:
    """A micro-batch of the longest rows, or of packed ones."""
    packs = bool(config.trl_setting("packing"))
    rows = int(config.trl_setting("per_device_train_batch_size"))
    length = config.model.max_length if packs else min(longest, config.model.max_length)
    chunks = config.trainer.get("loss_type") in (None, "chunked_nll")
    return _step(
        config,
        loaded,
        rows=rows,
        length=length,
        kept=length,
        loss="chunked_nll" if chunks else "nll",
        is_masked=rows > 1 and not packs,
        trained_layers=config.trained_layers,
    )


def engine_name(config: TrainingConfig, step: Step) -> str:
    """The engine that draws completions with the model in training."""
    return config.engine if config.engine != "auto" else "unsloth" if step.is_unsloth else "transformers"


def peak_beside_engine(config: TrainingConfig, step: Step, room: float) -> dict[str, float]:
    """`step_memory.peak`, with what a vLLM in the same memory of `room` bytes takes of it.

    One that sleeps takes it while it draws, and the step what it needs after that: the larger of both moments.
    """
    parts, share = peak(step), config.model.gpu_memory_utilization * room
    if step.is_unsloth and config.model.fast_inference:  # trained on the weights that its vLLM holds
        return {"vLLM and base weights": share} | {n: size for n, size in parts.items() if n != "base weights"}
    if config.engine != "vllm":
        return parts
    if not config.engine_section.sleeps:
        return {"vLLM": share} | parts
    drawing = {"vLLM": share} | {name: size for name, size in parts.items() if name in HELD}
    return max(drawing, parts, key=lambda moment: sum(moment.values()))


def _step(config: TrainingConfig, loaded: Loaded | None, **batch: Any) -> Step:
    """How the recipe trains on a micro-batch; where it is silent, as `training.trainer` decides."""
    loaded = loaded or loaded_here(config)
    is_unsloth = loaded.backend == "unsloth"
    kind = adapter_type(config.model, config)
    return Step(
        shape=loaded.shape,
        precision=loaded.precision,
        adapter=kind or "",
        **_adapter_sizes(config),
        optimizer=str(config.trainer.get("optim", "adamw_torch")),
        has_autocast=bool(config.trainer.get("bf16", loaded.on_gpu) or config.trainer.get("fp16")),
        has_kernel=loaded.on_gpu,
        has_checkpoints=is_unsloth or checkpoints_activations(kind, config, loaded.on_gpu),
        is_unsloth=is_unsloth,
        accumulates=config.trl_setting("gradient_accumulation_steps") > 1,
        **batch,
    )


def _adapter_sizes(config: TrainingConfig) -> dict[str, Any]:
    """The adapter's sizes as `Step` has them, from its own folder or from the recipe; of a hub id a LoRA's defaults."""
    saved = check_adapter(config.model.adapter) if config.model.adapter else {}
    if virtual := saved.get("num_virtual_tokens"):
        return {"virtual": virtual}  # trained on without a network
    if not saved and isinstance(config.adapter, VirtualTokensConfig):
        return {"virtual": config.adapter.virtual_tokens, "network": getattr(config.adapter, "hidden", None)}
    if config.trains_every_weight:
        return {}
    shape = saved or (config.adapter.model_dump() if config.adapter else {})
    targets = shape.get("target_modules", "all-linear")
    rank = shape.get("init_r") or shape.get("r", 16)
    return {"rank": int(rank), "targets": LINEAR if isinstance(targets, str) else tuple(targets)}
