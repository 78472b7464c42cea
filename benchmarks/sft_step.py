"""An SFT step of ours against plain TRL's on the same rows; and what packing adds on short rows.

    MULL_DATA=… python benchmarks/sft_step.py [--json FILE] [--steps 2] [--rounds 2]

Three trainers of the embedded model with LoRA on Alpaca's rows: plain TRL from prompt-completion text, ours on
the rows it encodes, and ours with packing into sequences of about as many tokens as a batch has. They take turns,
`rounds` times the same first `steps` batches each; of each batch the fastest round counts, because other processes can
only slow a step down. Tokens are real ones: padding doesn't count.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from benchmarks.clock import Clock
from configs.run_directory import RunDir
from configs.schema.sections import DataConfig, ModelConfig
from configs.schema.sft import SftConfig
from data.corpus import load_traces
from data.prompts import render_turn
from data.think_format import S1
from models.load import LoadedModel, load_model
from models.packed_attention import packing
from sft.prepare import Prepared, prepare
from sft.trainer import build_sft_trainer
from training.trainer import trainer_arguments

BATCH, PACKED_LENGTH = 8, 1024
NAMES = ("trl", "ours", "packed")


def recipe(name: str, folder: str) -> SftConfig:
    """The same in all three but for packing."""
    packing = name == "packed"
    return SftConfig(
        model=ModelConfig(name="smollm2-135m", max_length=PACKED_LENGTH),
        data=DataConfig(path=f"{os.environ['MULL_DATA']}/alpaca/alpaca_en_demo.json"),
        truncation="drop",
        output_dir=folder,
        trainer={
            "packing": packing,
            "per_device_train_batch_size": 1 if packing else BATCH,
            "learning_rate": 1e-6,
            "max_steps": 1,
        },
    )


def trainer_of(name: str, folder: str) -> tuple[Any, Clock]:
    """A trainer and its clock."""
    config = recipe(name, folder)
    loaded = load_model(config.model, config.adapter, config.seed)
    data = prepare(config, loaded.tokenizer, S1)
    clock = Clock()
    trainer = (
        plain(config, loaded, data, folder)
        if name == "trl"
        else build_sft_trainer(config, loaded, data, RunDir(folder))
    )
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    return trainer, clock


def plain(config: SftConfig, loaded: LoadedModel, data: Prepared, folder: str) -> Any:
    """TRL as its documentation has it: prompts and completions as text."""
    known = {example.id for example in data.train}
    turns = [render_turn(loaded.tokenizer, t, S1) for t in load_traces(config.data) if t.id in known]
    end = str(loaded.tokenizer.eos_token)  # TRL adds it
    arguments = trainer_arguments(SFTConfig, config, RunDir(folder), max_length=config.model.max_length)
    rows = [{"prompt": prompt, "completion": completion.removesuffix(end)} for prompt, completion in turns]
    return SFTTrainer(
        model=loaded.model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=loaded.tokenizer
    )


def run(name: str, trainer: Any, steps: int) -> float:
    """Train on the first `steps` batches, once more; the tokens in them."""
    trainer.args.max_steps = steps
    before = trainer._total_train_tokens
    with packing(trainer.model, name == "packed"):
        trainer.train()
    return float(trainer._total_train_tokens - before)


def best(seconds: Sequence[float], steps: int) -> float:
    """Seconds of a round of `steps` if every step had been as fast as in its fastest round."""
    return sum(min(seconds[step::steps]) for step in range(steps))


def main() -> None:
    """Take turns, print medians and ratios, write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = {name: trainer_of(name, f"{folder}/{name}") for name in NAMES}
        for name, (trainer, clock) in pairs.items():
            Path(f"{folder}/{name}").mkdir(exist_ok=True)
            run(name, trainer, 1)  # warm-up
            clock.seconds.clear()
        tokens: dict[str, float] = {}
        for i in range(args.rounds):
            for name in NAMES if i % 2 else reversed(NAMES):
                tokens[name] = run(name, pairs[name][0], args.steps)
    figures: dict[str, float] = {}
    for name, (_, clock) in pairs.items():
        seconds = best(clock.seconds, args.steps)
        figures[f"{name}_seconds"] = round(seconds / args.steps, 3)
        figures[f"{name}_tokens_per_second"] = round(tokens[name] / seconds, 1)
        print(f"{name}: {[round(s, 2) for s in clock.seconds]} s in {args.rounds} rounds, {tokens[name]:.0f} tokens")
    figures["ratio_vs_trl"] = round(figures["ours_seconds"] / figures["trl_seconds"], 3)
    figures["packing_speedup"] = round(figures["packed_tokens_per_second"] / figures["trl_tokens_per_second"], 3)
    for name, value in figures.items():
        print(f"{name:28} {value}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
