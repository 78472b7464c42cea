"""A GRPO step of ours against plain TRL's: the same model, prompts, batch, lengths, dtype and rewards' work.

    python benchmarks/grpo_step.py [--json FILE] [--steps 3] [--rounds 2]

Both train the embedded model with LoRA on generated arithmetic; every completion has the same number of tokens (nothing
ends one early). The two take turns, `rounds` times `steps` steps each after one warm-up step. Ours computes no forward
pass for completions without an advantage: so that this plays no part, a second reward differs within every group.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from benchmarks.clock import Clock
from configs.recipe import load_recipe
from configs.run_directory import RunDir
from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from data.arithmetic import generate_problems
from data.problem import Problem
from data.think_format import S1
from models.load import LoadedModel, load_model
from rewards.grading.math_equivalence import grade_texts
from rewards.registry import build_rewards
from rl import rollout
from rl.recorder import Recorder
from rl.sampling import GroupSampler
from rl.scoring import RolloutScorer
from rl.trainer import RolloutTrainer
from training.run_callback import RunCallback
from training.trainer import engine_of

LENGTH = 40
BATCH, MICRO, GROUP = 32, 8, 4  # completions a step, a forward pass, a prompt


def build_trainer(ours: bool, folder: str) -> tuple[Any, Clock]:
    """A trainer and its clock."""
    loaded = load_model(ModelConfig(name="smollm2-135m"), LoraConfig())
    problems = generate_problems(64, seed=5)
    prompts = rollout.prompts(problems, loaded.tokenizer, S1)
    forced = {"min_new_tokens": LENGTH}
    clock = Clock()
    shared: dict[str, Any] = {
        "model": loaded.model,
        "args": arguments(folder, BATCH, GROUP, LENGTH, generation_kwargs=forced),
        "processing_class": loaded.tokenizer,
        "callbacks": [clock],
    }
    if ours:
        trainer: Any = our_trainer(loaded, problems, prompts, folder, shared)
    else:
        rows = [{"prompt": prompt, "gold": problem.answer} for prompt, problem in zip(prompts, problems, strict=True)]
        trainer = GRPOTrainer(reward_funcs=[correctness, digits], train_dataset=Dataset.from_list(rows), **shared)
    trainer.remove_callback(PrinterCallback)
    return trainer, clock


def arguments(folder: str, rows: int, group: int, length: int, micro: int = MICRO, **more: Any) -> GRPOConfig:
    """What both trainers get: `rows` completions a step, `group` a prompt, of at most `length` tokens.

    `micro`: rows of a forward pass.
    """
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=min(micro, rows),
        gradient_accumulation_steps=max(1, rows // micro),
        num_generations=group,
        max_completion_length=length,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        logging_steps=1,
        **{"learning_rate": 1e-6, **more},
    )


def our_trainer(
    loaded: LoadedModel,
    problems: list[Problem],
    prompts: list[str],
    folder: str,
    shared: dict[str, Any],
    lengths: Sequence[int] = (),
) -> RolloutTrainer:
    """`rl.grpo`'s trainer, its files and alarms included; its engine ends no completion early either.

    `lengths`: of a step's completions, where they are not all the longest.
    """
    names = "[{name: correctness, weight: 2.0}, {name: benchmarks.grpo_step:digits}]"
    longest = f"trainer.max_completion_length={shared['args'].max_completion_length}"
    config = load_recipe("grpo", "demo", [longest, "model.max_length=4096", f"rewards={names}"])
    engine: Any = engine_of(loaded, config, S1)
    engine.eos = ()
    if lengths:
        decode = engine.decode
        engine.decode = lambda jobs, decoded: decode(
            [replace(job, max_tokens=length) for job, length in zip(jobs, lengths, strict=True)], decoded
        )
    run = RunDir(folder)
    rows = [{"prompt": prompt, "problem": i} for i, prompt in enumerate(prompts)]
    scorer = RolloutScorer(build_rewards(config.rewards), problems, loaded.tokenizer, S1, (2,))
    return RolloutTrainer(
        sampler=GroupSampler(engine, config, scorer, prompts, shared["args"].num_generations),
        recorder=Recorder(run, RunCallback(run, ()), "warn"),
        train_dataset=Dataset.from_list(rows),
        **shared,
    )


def correctness(completions: list[str], gold: list[str], **_: Any) -> list[float]:
    """Plain TRL's reward: the same grader, on the text that TRL decodes."""
    return [2.0 * bool(found) for found in grade_texts(gold, completions)]


def digits(completions: list[str], **_: Any) -> list[float]:
    """The share of a completion's characters that are digits: rarely the same for two of a group."""
    return [sum(c.isdigit() for c in text) / max(1, len(text)) for text in completions]


def main() -> None:
    """Take turns, print medians and the ratio, write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = {name: build_trainer(name == "ours", f"{folder}/{name}") for name in ("ours", "trl")}
        for trainer, clock in pairs.values():
            run(trainer, 1)
            clock.seconds.clear()
        for i in range(args.rounds):
            for name in ("ours", "trl") if i % 2 else ("trl", "ours"):
                run(pairs[name][0], args.steps)
    figures: dict[str, Any] = {}
    for name, (_, clock) in pairs.items():
        figures[f"{name}_seconds"] = round(statistics.median(clock.seconds), 2)
        print(f"{name}: median {figures[f'{name}_seconds']} s of {sorted(round(s, 1) for s in clock.seconds)}")
    figures["ratio_vs_trl"] = round(figures["ours_seconds"] / figures["trl_seconds"], 3)
    print(f"ratio_vs_trl: {figures['ratio_vs_trl']}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


def run(trainer: Any, steps: int) -> None:
    """Train `steps` more steps."""
    trainer.args.max_steps = steps
    trainer.train()


if __name__ == "__main__":
    main()
