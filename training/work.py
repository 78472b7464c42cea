"""A recipe → the work of its run: how many steps, rows, tokens and completions; see `training.cost.Work`."""

from configs.schema.grpo import GrpoConfig
from configs.schema.sft import SftConfig
from configs.schema.training import TrainingConfig
from training.cost import Work


def rows_a_step(config: TrainingConfig, processes: int) -> int:
    """Rows that all processes together train on in a step."""
    rows, accumulated = (
        config.trl_setting(name) for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    return int(rows * accumulated) * processes


def count_steps(config: TrainingConfig, rows: int, processes: int) -> int:
    """`max_steps`, or what the epochs make of so many rows."""
    if (steps := config.trl_setting("max_steps")) > 0:
        return int(steps)
    return -(-int(rows * config.trl_setting("num_train_epochs")) // rows_a_step(config, processes))


def times_watched(config: TrainingConfig, steps: int) -> int:
    """How often held-out problems are measured while training."""
    return sum(config.eval.is_due(step, steps) for step in range(1, steps + 1)) if config.eval else 0


def count_watched(config: TrainingConfig, held_out: int) -> int:
    """How many of them are asked then."""
    return min(held_out, (config.eval.watched if config.eval else None) or held_out)


def sft_work(config: SftConfig, sequences: int, tokens: float, held_out: int, processes: int = 1) -> Work:
    """`sequences`: rows, or what they are packed into, of so many `tokens`."""
    steps = count_steps(config, sequences, processes)
    return Work(
        steps=steps,
        rows=rows_a_step(config, processes),
        row_tokens=tokens,
        kept_tokens=tokens,
        measured=_measured(config, steps, held_out),
        measured_tokens=config.eval.max_tokens if config.eval else 0,
    )


def grpo_work(
    config: GrpoConfig, problems: int, prompt: float, completion: float, held_out: int, processes: int = 1
) -> Work:
    """`prompt` and `completion`: tokens; what resampling draws anew is not counted."""
    group = int(config.trl_setting("num_generations"))
    steps = count_steps(config, problems * group, processes)
    return Work(
        steps=steps,
        rows=rows_a_step(config, processes),
        row_tokens=prompt + completion,
        kept_tokens=completion,
        drawn=config.completions_per_generation * processes / config.steps_per_rollout,
        prompt_tokens=prompt,
        completion_tokens=completion,
        passes=bool(config.trl_setting("beta")) + (config.steps_per_rollout > 1),
        measured=_measured(config, steps, held_out),
        measured_tokens=config.eval.max_tokens if config.eval else 0,
    )


def _measured(config: TrainingConfig, steps: int, held_out: int) -> int:
    """Completions of held-out measuring, before, while and after training."""
    if config.eval is None:
        return 0
    asked = len(config.eval.when) * held_out + times_watched(config, steps) * count_watched(config, held_out)
    return asked * (1 + config.eval.k)
