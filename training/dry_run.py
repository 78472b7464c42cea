"""`--dry-run`: what a run would do, and what it would need, without loading the weights."""

from typing import Any

import yaml

from configs.schema.grpo import GrpoConfig
from configs.schema.sft import SftConfig
from configs.schema.training import TrainingConfig
from models.backend import choose_backend
from models.source import base_of, source_of
from models.weights import BYTES, count_weights


def grpo_plan(config: GrpoConfig, rows: int, held_out: int, longest_prompt: int) -> str:
    """The resolved config and the plan of `rl.grpo`, as text."""
    group = int(config.trl_setting("num_generations"))
    completions = config.completions_per_generation
    steps = _steps(config, rows * group)
    return _text(
        config,
        {
            "problems": f"{rows} to train on, {held_out} held out",
            "steps": f"{steps}, each generation {completions} completions: {completions // group} prompts × {group}",
            "tokens": f"prompts up to {longest_prompt}, completions up to {config.completion_length}, "
            f"together at most {completions * (longest_prompt + config.completion_length):,} a generation",
            "worst": f"about {worst_case(config, longest_prompt) / 2**30:.1f} GiB for a forward and backward pass of "
            "the longest rows: an estimate, tried before step 1 on a GPU",
        },
    )


def sft_plan(config: SftConfig, ledger: Any, sequences: int, held_out: int) -> str:
    """The resolved config and the plan of `sft.train`, as text; `ledger` is `sft.dataset.Ledger`.

    `sequences`: rows to train on, or what they are packed into.
    """
    batch = _rows_a_step(config)
    return _text(
        config,
        {
            "rows": f"{ledger.rows} ({ledger.over_limit} longer than {ledger.limit} tokens: "
            f"{ledger.policy}), {held_out} held-out problems",
            "steps": f"{_steps(config, sequences)}, each {batch} of {sequences} sequences",
            "tokens": f"rows up to {ledger.limit_max}, 99% up to {ledger.limit_p99}",
        },
    )


def worst_case(config: GrpoConfig, longest_prompt: int) -> int:
    """Bytes for activations and logits of the longest rows, 16-bit and without checkpointing.

    34 bytes a position, layer and hidden unit (Korthikanti et al. 2022, arXiv 2205.05198 §4.1, without the attention
    scores, which SDPA does not keep); logits in 16 bits, their softmax in 32.
    """
    from transformers import AutoConfig

    model = AutoConfig.from_pretrained(source_of(base_of(config.model))).get_text_config()
    rows = int(config.trl_setting("per_device_train_batch_size"))
    length = longest_prompt + config.completion_length
    activations = 34 * rows * length * model.num_hidden_layers * model.hidden_size
    return int(activations + 6 * rows * config.completion_length * model.vocab_size)


def _steps(config: TrainingConfig, rows: int) -> str:
    if (steps := config.trl_setting("max_steps")) > 0:
        return str(steps)
    epochs = config.trl_setting("num_train_epochs")
    return f"{-(-int(rows * epochs) // _rows_a_step(config))} ({epochs:g} epochs)"


def _rows_a_step(config: TrainingConfig) -> int:
    return int(config.trl_setting("per_device_train_batch_size") * config.trl_setting("gradient_accumulation_steps"))


def _text(config: TrainingConfig, plan: dict[str, str]) -> str:
    weights = count_weights(source_of(base_of(config.model)))
    choice = choose_backend(config.model, config)
    memory = weights * BYTES[choice.precision] / 2**30
    lines = {"model": f"{config.model.name}, {weights / 1e6:,.0f}M weights on {choice}"} | plan
    lines["memory"] = f"{memory:.2f} GiB of base weights; activations, KV cache and optimizer come on top"
    lines["output"] = config.output_dir
    body = "\n".join(f"{name:>9}  {text}" for name, text in lines.items())
    return f"{yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)}\n{body}"
