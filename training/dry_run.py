"""`--dry-run`: what a run would do, and what it would need, without loading the weights."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import yaml

from configs.schema.adapters import VirtualTokensConfig
from configs.schema.grpo import GrpoConfig
from configs.schema.sft import SftConfig
from configs.schema.training import TrainingConfig
from models.adapter_files import LINEAR, check_adapter
from models.adapter_types import adapter_type, checkpoints_activations
from models.backend import choose_backend, has_gpu
from models.source import base_of, source_of
from models.weights import count_weights
from training.preflight import GIB, device, teacher_bytes
from training.step_memory import Shape, Step, peak

Tokens = Sequence[Sequence[int]]


def grpo_plan(
    config: GrpoConfig,
    rows: int,
    held_out: int,
    longest_prompt: int,
    shares_prompts: Callable[[Tokens, Tokens, int], bool],
    teacher: str = "",
    environment: str = "",
) -> str:
    """The resolved config and the plan of `rl.grpo`, as text.

    `shares_prompts`: whether prompts and completions are cheaper as one row, at a model's width. `teacher`: who teaches
    and what it sees; `environment`: what completions act in.
    """
    group = int(config.trl_setting("num_generations"))
    completions = config.completions_per_generation
    steps = _steps(config, rows * group)
    return _text(
        config,
        {
            "problems": f"{rows} to train on, {held_out} held out",
            **_budget_line(config),
            "steps": f"{_said(config, steps)}, each generation {completions} completions: {completions // group} "
            f"prompts × {group}",
            "tokens": f"prompts up to {longest_prompt}, completions up to {config.completion_length}, "
            f"together at most {completions * (longest_prompt + config.completion_length):,} a generation",
            **watched_line(config, steps, held_out),
            **({"teacher": teacher} if teacher else {}),
            **({"environment": environment} if environment else {}),
        },
        grpo_step(config, longest_prompt, shares_prompts),
    )


def _budget_line(config: GrpoConfig) -> dict[str, str]:
    """What completions may think; nothing without a budget that limits it."""
    budget = config.rollout.budget
    if budget is None or not budget.ends:
        return {}
    low, high = min(budget.ends), max(budget.ends)
    text = f"{low} to {high} thinking tokens, one limit a group" if low < high else f"{high} thinking tokens"
    steps = "".join(f"; other limits from step {stage.from_step}" for stage in budget.schedule)
    return {"budget": f"{text}{steps}{'; told in the prompt' if budget.told else ''}"}


def sft_plan(config: SftConfig, ledger: Any, sequences: int, held_out: int) -> str:
    """The resolved config and the plan of `sft.train`, as text; `ledger` is `sft.dataset.Ledger`.

    `sequences`: rows to train on, or what they are packed into.
    """
    batch, steps = _rows_a_step(config), _steps(config, sequences)
    return _text(
        config,
        {
            "rows": f"{ledger.rows} ({ledger.over_limit} longer than {ledger.limit} tokens: "
            f"{ledger.policy}), {held_out} held-out problems",
            "steps": f"{_said(config, steps)}, each {batch} of {sequences} sequences",
            "tokens": f"rows up to {ledger.limit_max}, 99% up to {ledger.limit_p99}",
            **watched_line(config, steps, held_out),
        },
        sft_step(config, ledger.limit_max),
    )


def grpo_step(config: GrpoConfig, longest_prompt: int, shares_prompts: Callable[[Tokens, Tokens, int], bool]) -> Step:
    """A micro-batch of the longest prompts and completions, padded or sharing prompts as the trainer will have it."""
    rows, completion = int(config.trl_setting("per_device_train_batch_size")), config.completion_length
    step = _step(
        config,
        rows=rows,
        length=longest_prompt + completion,
        kept=completion,
        loss="grpo",
        is_masked=rows > 1,
        has_reference=config.trains_every_weight and bool(config.trl_setting("beta")),
    )
    prompts = -(-rows // int(config.trl_setting("num_generations")))
    drawn = [range(i // -(-rows // prompts), i // -(-rows // prompts) + longest_prompt) for i in range(rows)]
    if step.is_unsloth or not shares_prompts(drawn, [range(completion)] * rows, step.shape.hidden):
        return step
    packed = prompts * longest_prompt + rows * (completion - 1)
    return replace(step, rows=1, length=packed, kept=rows * completion, is_masked=True)


def sft_step(config: SftConfig, longest: int) -> Step:
    """A micro-batch of the longest rows, or of packed ones."""
    packs = bool(config.trl_setting("packing"))
    rows = int(config.trl_setting("per_device_train_batch_size"))
    length = config.model.max_length if packs else min(longest, config.model.max_length)
    chunks = config.trainer.get("loss_type") in (None, "chunked_nll")
    loss = "chunked_nll" if chunks else "nll"
    is_masked = rows > 1 and not packs
    trained = config.trained_layers
    return _step(config, rows=rows, length=length, kept=length, loss=loss, is_masked=is_masked, trained_layers=trained)


def _step(config: TrainingConfig, **batch: Any) -> Step:
    """How the recipe trains on a micro-batch; where it is silent, as `training.trainer` decides on this machine."""
    from transformers import AutoConfig

    source = source_of(base_of(config.model))
    choice, on_gpu = choose_backend(config.model, config), has_gpu()
    is_unsloth = choice.backend == "unsloth"
    kind = adapter_type(config.model, config)
    return Step(
        shape=Shape.of(AutoConfig.from_pretrained(source).get_text_config(), count_weights(source)),
        precision=choice.precision,
        adapter=kind or "",
        **_adapter_sizes(config),
        optimizer=str(config.trainer.get("optim", "adamw_torch")),
        has_autocast=bool(config.trainer.get("bf16", on_gpu) or config.trainer.get("fp16")),
        has_kernel=on_gpu,
        has_checkpoints=is_unsloth or checkpoints_activations(kind, config, on_gpu),
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


def watched_line(config: TrainingConfig, steps: int, held_out: int) -> dict[str, str]:
    """What measuring while training adds: how often, and completions of how many tokens; nothing without it."""
    if config.eval is None or not config.eval.every:
        return {}
    every, problems = config.eval.every, min(held_out, config.eval.watched or held_out)
    times = sum(config.eval.is_due(step, steps) for step in range(1, steps + 1))
    samples = times * problems * (1 + config.eval.k)
    return {
        "watched": f"{problems} held-out problems × {1 + config.eval.k} samples, every {every} steps and at the last:"
        f" {times} times, {samples * config.eval.max_tokens:,} tokens at most",
    }


def _steps(config: TrainingConfig, rows: int) -> int:
    if (steps := config.trl_setting("max_steps")) > 0:
        return int(steps)
    return -(-int(rows * config.trl_setting("num_train_epochs")) // _rows_a_step(config))


def _said(config: TrainingConfig, steps: int) -> str:
    by_epochs = config.trl_setting("max_steps") <= 0
    return f"{steps} ({config.trl_setting('num_train_epochs'):g} epochs)" if by_epochs else str(steps)


def _rows_a_step(config: TrainingConfig) -> int:
    return int(config.trl_setting("per_device_train_batch_size") * config.trl_setting("gradient_accumulation_steps"))


def _text(config: TrainingConfig, plan: dict[str, str], step: Step) -> str:
    choice = choose_backend(config.model, config)
    weights = step.shape.weights.total
    lines = {"model": f"{config.model.name}, {weights / 1e6:,.0f}M weights on {choice}"} | plan
    lines |= memory_lines(config, step) | {"output": config.output_dir}
    body = "\n".join(f"{name:>9}  {text}" for name, text in lines.items())
    return f"{yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)}\n{body}"


def memory_lines(config: TrainingConfig, step: Step) -> dict[str, str]:
    """The estimate of a step's peak with its parts, and what it assumes."""
    parts = peak(step)
    share = config.model.gpu_memory_utilization * device()[1]
    if step.is_unsloth and config.model.fast_inference:  # trained on the weights that its vLLM holds
        parts = {"vLLM and base weights": share} | {n: size for n, size in parts.items() if n != "base weights"}
    elif config.engine == "vllm":
        parts = {"vLLM": share} | parts
    if held := teacher_bytes(config):
        parts = {"the teacher's weights": held} | parts
    largest = ", ".join(f"{size / GIB:.2f} GiB of {name}" for name, size in list(parts.items())[:3])
    kept = "checkpoints" if step.has_checkpoints else "no checkpoints"
    return {
        "memory": f"about {sum(parts.values()) / GIB:.1f} GiB at a step's peak, most of it {largest}",
        "assumed": f"{step.rows} × {step.length:,} tokens at once, the longest there are; {kept} of activations; "
        f"{8 * step.compute}-bit computing; {step.optimizer}; what CUDA and its allocator waste comes on top",
    }
