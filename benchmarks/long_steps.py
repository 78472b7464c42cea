"""GRPO steps of long completions: ours against plain TRL's at mixed lengths, and how ours grow with the length.

    python benchmarks/long_steps.py [--json FILE] [--steps 2] [--attention]

The embedded model with a LoRA, two rows a forward pass; every completion has the length that it is told, on either
side, and an advantage. The sides take turns after a warm-up step each.

    mixed_step_ratio  ours ÷ TRL's: seconds of a step, one group of 8 completions of 64 to 768 tokens, medians
    cost_exponent     of our step over the lengths 64 … 2,048, a group of 4: the slope of log(seconds) over log(length)

`--attention` prints instead, for rows after prompts of several lengths, milliseconds of an attention (forward and
backward) under a mask of the row's own, and without one but with the prompt's queries, and which of them is taken.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOTrainer

from benchmarks.clock import Clock, now
from benchmarks.grpo_step import arguments, correctness, digits, our_trainer, run
from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from data.arithmetic import generate_problems
from data.think_format import S1
from models.load import load_model
from models.packed_attention import Row, after_prompt, packed_attention
from rl import rollout

MIXED = (466, 64, 667, 265, 768, 164, 566, 365)
LENGTHS = (64, 128, 256, 512, 1024, 2048)
MICRO = 2
SHAPES = ((50, 16), (50, 40), (50, 64), (50, 416), (50, 768), (200, 100), (200, 200), (200, 400), (700, 40))


def trainer_of(ours: bool, lengths: Sequence[int], folder: str) -> tuple[Any, Clock]:
    """A trainer of one group, whose completions have these lengths, and its clock."""
    loaded = load_model(ModelConfig(name="smollm2-135m", max_length=4096), LoraConfig())
    problems = generate_problems(64, seed=5)
    prompts = rollout.prompts(problems, loaded.tokenizer, S1)
    clock = Clock()
    shared: dict[str, Any] = {
        "model": loaded.model,
        "args": arguments(folder, len(lengths), len(lengths), max(lengths), MICRO),
        "processing_class": loaded.tokenizer,
        "callbacks": [clock],
    }
    if ours:
        trainer: Any = our_trainer(loaded, problems, prompts, folder, shared, lengths)
    else:
        rows = [{"prompt": prompt, "gold": problem.answer} for prompt, problem in zip(prompts, problems, strict=True)]
        trainer = GRPOTrainer(reward_funcs=[correctness, digits], train_dataset=Dataset.from_list(rows), **shared)
        loaded.model.register_forward_hook(EndAt(lengths, loaded.tokenizer.eos_token_id), with_kwargs=True)
    trainer.remove_callback(PrinterCallback)
    return trainer, clock


class EndAt:
    """Lets row i of a batch that `generate` decodes end with token number lengths[i], and not before."""

    def __init__(self, lengths: Sequence[int], eos: int) -> None:
        self.last, self.eos, self.drawn = torch.tensor(lengths), eos, 0

    def __call__(self, model: Any, _: Any, inputs: dict[str, Any], output: Any) -> None:
        """After a forward pass; those of training go on as they are."""
        if torch.is_grad_enabled() or not inputs.get("use_cache"):
            return
        self.drawn = 1 if inputs["input_ids"].shape[1] > 1 else self.drawn + 1
        output.logits[:, -1, self.eos] = torch.where(self.drawn >= self.last, 1e4, -1e4).to(output.logits.dtype)


def mixed(steps: int) -> dict[str, float]:
    """The figures of a step at mixed lengths."""
    with tempfile.TemporaryDirectory() as folder:
        sides = {name: trainer_of(name == "ours", MIXED, f"{folder}/{name}") for name in ("ours", "trl")}
        for trainer, clock in sides.values():
            run(trainer, 1)
            clock.seconds.clear()
        for _ in range(steps):
            for trainer, _clock in sides.values():
                run(trainer, 1)
    seconds = {name: sorted(clock.seconds) for name, (_, clock) in sides.items()}
    ours, trl = (statistics.median(seconds[name]) for name in ("ours", "trl"))
    print(f"mixed_step_ratio: {ours / trl:.3f}, s:", {name: [round(s, 1) for s in s_] for name, s_ in seconds.items()})
    return {"mixed_step_ratio": round(ours / trl, 3)}


def exponent(steps: int) -> dict[str, float]:
    """How the seconds of our step grow with the length."""
    medians = []
    for length in LENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            trainer, clock = trainer_of(True, [length] * 4, folder)
            run(trainer, 1 + steps)
        medians.append(statistics.median(clock.seconds[1:]))
        print(f"length {length}: {medians[-1]:.1f} s a step", flush=True)
    slope = statistics.linear_regression([math.log(n) for n in LENGTHS], [math.log(s) for s in medians]).slope
    print(f"cost_exponent: {slope:.3f}")
    return {"cost_exponent": round(slope, 3)}


def attention() -> None:
    """Both ways for a row after its prompt, in the embedded model's shapes."""
    for prompt, length in SHAPES:
        q, k, v = (
            torch.randn(1, heads, prompt + length, 64, dtype=torch.bfloat16, requires_grad=True) for heads in (9, 3, 3)
        )
        masked = Row(length, 0, torch.ones(length, prompt + length, dtype=torch.bool).tril(prompt))
        ways = {"masked": masked, "whole": Row(length, 0)}
        found = {name: _milliseconds(q, k, v, [Row(prompt), row]) for name, row in ways.items()}
        taken = "masked" if after_prompt(length, 0, prompt, "cpu").mask is not None else "whole"
        print(
            f"{prompt} + {length}:", {name: round(ms, 1) for name, ms in found.items()}, f"taken: {taken}", flush=True
        )


def _milliseconds(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Sequence[Row]) -> float:
    module = torch.nn.Module()
    module.num_key_value_groups = query.shape[1] // key.shape[1]
    taken = []
    for _ in range(6):
        started = now()
        packed_attention(module, query, key, value, None, packed_rows=rows)[0].sum().backward()
        taken.append(now() - started)
    return statistics.median(taken[1:]) * 1e3


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--attention", action="store_true")
    args = parser.parse_args()
    if args.attention:
        attention()
        return
    figures = mixed(args.steps) | exponent(args.steps)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
