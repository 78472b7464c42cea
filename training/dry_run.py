"""`--dry-run`: what a run would do, and what it would need, without loading the weights."""

from typing import Any

import yaml

from configs.launch import launch_of
from configs.schema.grpo import GrpoConfig
from configs.schema.sft import SftConfig
from configs.schema.training import TrainingConfig
from models.accelerators import ACCELERATORS, recognised
from models.backend import choose_backend, has_gpu
from training.cost import Work, cost_of
from training.micro_batch import engine_name, grpo_step, peak_beside_engine, sft_step
from training.preflight import GIB, device, teacher_bytes
from training.step_memory import Step
from training.work import count_steps, count_watched, grpo_work, rows_a_step, sft_work, times_watched


def grpo_plan(
    config: GrpoConfig,
    rows: int,
    held_out: int,
    longest_prompt: int,
    teacher: str = "",
    environment: str = "",
) -> str:
    """The resolved config and the plan of `rl.grpo`, as text.

    `teacher`: who teaches and what it sees; `environment`: what completions act in.
    """
    group = int(config.trl_setting("num_generations"))
    completions = config.completions_per_generation
    processes = launch_of().processes
    steps = count_steps(config, rows * group, processes)
    step = grpo_step(config, longest_prompt)
    work = grpo_work(config, rows, longest_prompt, config.completion_length, held_out, processes)
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
            **cost_lines(config, step, work),
        },
        step,
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
    processes = launch_of().processes
    batch, steps = rows_a_step(config, processes), count_steps(config, sequences, processes)
    step = sft_step(config, ledger.limit_max)
    return _text(
        config,
        {
            "rows": f"{ledger.rows} ({ledger.over_limit} longer than {ledger.limit} tokens: "
            f"{ledger.policy}), {held_out} held-out problems",
            "steps": f"{_said(config, steps)}, each {batch} of {sequences} sequences",
            "tokens": f"rows up to {ledger.limit_max}, 99% up to {ledger.limit_p99}",
            **watched_line(config, steps, held_out),
            **cost_lines(config, step, sft_work(config, sequences, step.length, held_out, processes)),
        },
        step,
    )


def watched_line(config: TrainingConfig, steps: int, held_out: int) -> dict[str, str]:
    """What measuring while training adds: how often, and completions of how many tokens; nothing without it."""
    if config.eval is None or not config.eval.every:
        return {}
    every, problems, times = config.eval.every, count_watched(config, held_out), times_watched(config, steps)
    samples = times * problems * (1 + config.eval.k)
    return {
        "watched": f"{problems} held-out problems × {1 + config.eval.k} samples, every {every} steps and at the last:"
        f" {times} times, {samples * config.eval.max_tokens:,} tokens at most",
    }


def _said(config: TrainingConfig, steps: int) -> str:
    by_epochs = config.trl_setting("max_steps") <= 0
    return f"{steps} ({config.trl_setting('num_train_epochs'):g} epochs)" if by_epochs else str(steps)


def _text(config: TrainingConfig, plan: dict[str, str], step: Step) -> str:
    choice = choose_backend(config.model, config)
    weights = step.shape.weights.total
    lines = {"model": f"{config.model.name}, {weights / 1e6:,.0f}M weights on {choice}"} | plan
    lines |= memory_lines(config, step) | {"output": config.output_dir}
    body = "\n".join(f"{name:>9}  {text}" for name, text in lines.items())
    return f"{yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)}\n{body}"


def cost_lines(config: TrainingConfig, step: Step, work: Work) -> dict[str, str]:
    """Operations and minutes on this machine's device, where its figures are known; every row at its longest."""
    name, _ = device()
    found = recognised(name) if has_gpu() else ACCELERATORS["cpu"]
    cost = cost_of(step, work, found or ACCELERATORS["cpu"], launch_of().processes, engine_name(config, step))
    if found is None:
        return {"time": f"{cost.flops:.2g} operations at most; no figures of {name} here"}
    parts = {"drawing": cost.drawing, "training": cost.training, "measuring": cost.measuring}
    said = ", ".join(f"{seconds / 60:,.1f} of {part}" for part, seconds in parts.items() if seconds)
    basis = "as on the two cores that were measured" if found.name == "cpu" else f"on {found.name}, by assumed rates"
    return {"time": f"{cost.flops:.2g} operations, about {cost.seconds / 60:,.1f} minutes at most ({said}), {basis}"}


def memory_lines(config: TrainingConfig, step: Step) -> dict[str, str]:
    """The estimate of a step's peak with its parts, and what it assumes."""
    parts = peak_beside_engine(config, step, device()[1])
    if held := teacher_bytes(config):
        parts = {"the teacher's weights": held} | parts
    largest = ", ".join(f"{size / GIB:.2f} GiB of {name}" for name, size in list(parts.items())[:3])
    kept = "checkpoints" if step.has_checkpoints else "no checkpoints"
    return {
        "memory": f"about {sum(parts.values()) / GIB:.1f} GiB at a step's peak, most of it {largest}",
        "assumed": f"{step.rows} × {step.length:,} tokens at once, the longest there are; {kept} of activations; "
        f"{8 * step.compute}-bit computing; {step.optimizer}; what CUDA and its allocator waste comes on top",
    }
