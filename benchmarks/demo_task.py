"""Our trainer and plain TRL's on the demo's task, from the same warm-up: what each learns in the same time.

    python benchmarks/demo_task.py --adapter outputs/sft/demo/adapter [--minutes 15] [--seeds 0,1,2] [--json FILE]

Each seed trains both for so many minutes of steps, in turn, with the recipe's model, learning rate, batch and prompts;
ours has dynamic sampling and shared prompts, TRL's is its own trainer with the same grader. Held-out avg@k and greedy
accuracy are measured by the same engine on the same problems with the same noise.

    <trainer>_avg_at_k   mean over seeds, {value, low, high, n}: bootstrap over problems, each seed's samples together
    avg_at_k_change      ours less TRL's, paired over problems
    seeds                figures of every seed: steps made, completions with an advantage, avg@k, greedy

FILE gets a seed's figures when it is done, and seeds that it has are not run again.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOTrainer

from benchmarks.clock import Clock
from benchmarks.grpo_step import arguments, correctness
from configs.recipe import load_recipe
from configs.run_directory import RunDir
from configs.schema.adapters import LoraConfig
from configs.schema.grpo import GrpoConfig
from configs.schema.sections import ModelConfig
from data.problem import Problem
from data.splits import split_problems
from data.think_format import S1
from evaluation.metrics import cluster_bootstrap, paired_bootstrap
from models.load import LoadedModel, load_model
from rewards.registry import build_rewards
from rl import rollout
from rl.recorder import Recorder
from rl.sampling import GroupSampler
from rl.scoring import RolloutScorer
from rl.trainer import RolloutTrainer
from training import heldout
from training.run_callback import RunCallback
from training.trainer import engine_of

TRAINERS = ("ours", "trl")
FROM_RECIPE = ("learning_rate", "lr_scheduler_type", "warmup_steps", "adam_beta2", "temperature")


@dataclass
class Contestant:
    """A trainer, its model and clock; `useful`: completions with an advantage, a number for each generation batch."""

    trainer: Any
    loaded: LoadedModel
    clock: Clock
    useful: list[int] = field(default_factory=list)

    def train(self, steps: int) -> None:
        """At most `steps` more steps."""
        self.trainer.args.max_steps = steps
        self.trainer.train()


def demo(seed: int = 0) -> GrpoConfig:
    """The demo's recipe; every prompt is drawn as often as TRL draws it."""
    overrides = ["rollout.resamples=2", "rollout.curriculum=false", f"seed={seed}"]
    config: GrpoConfig = load_recipe("grpo", "demo", overrides)
    return config


def contestant(name: str, config: GrpoConfig, problems: Sequence[Problem], adapter: str, folder: str) -> Contestant:
    """Trainer `name` of `TRAINERS` with the warm-up's adapter."""
    loaded = load_model(ModelConfig(name="smollm2-135m", adapter=adapter), LoraConfig())
    prompts = rollout.prompts(problems, loaded.tokenizer, S1)
    clock = Clock()
    rows, group = config.completions_per_generation, config.trainer["num_generations"]
    given = {name: config.trainer[name] for name in FROM_RECIPE} | {"seed": config.seed}
    shared = {
        "model": loaded.model,
        "args": arguments(folder, rows, group, config.completion_length, **given),
        "processing_class": loaded.tokenizer,
        "callbacks": [clock],
    }
    if name == "ours":
        trainer: Any = our_trainer(config, loaded, problems, prompts, shared)
    else:
        data = [{"prompt": p, "gold": q.answer} for p, q in zip(prompts, problems, strict=True)]
        trainer = GRPOTrainer(reward_funcs=[correctness], train_dataset=Dataset.from_list(data), **shared)
    trainer.remove_callback(PrinterCallback)
    made = Contestant(trainer, loaded, clock)
    count(trainer, made.useful)
    return made


def our_trainer(
    config: GrpoConfig,
    loaded: LoadedModel,
    problems: Sequence[Problem],
    prompts: Sequence[str],
    shared: dict[str, Any],
) -> RolloutTrainer:
    """`rl.grpo`'s trainer, its files and alarms included."""
    run = RunDir(shared["args"].output_dir)
    run.path.mkdir(parents=True, exist_ok=True)
    scorer = RolloutScorer(build_rewards(config.rewards), problems, loaded.tokenizer, S1, (2,))
    engine = engine_of(loaded, config, S1)
    rows = [{"prompt": prompt, "problem": i} for i, prompt in enumerate(prompts)]
    return RolloutTrainer(
        sampler=GroupSampler(engine, config, scorer, prompts, config.trainer["num_generations"]),
        recorder=Recorder(run, RunCallback(run, ()), "warn"),
        train_dataset=Dataset.from_list(rows),
        **shared,
    )


def count(trainer: Any, useful: list[int]) -> None:
    """Note the completions with an advantage of every generation batch."""
    draw: Callable[[Any], Any] = trainer._generate_and_score_completions

    def counting(inputs: Any) -> Any:
        output = draw(inputs)
        useful.append(int((output["advantages"] != 0).sum()))
        return output

    trainer._generate_and_score_completions = counting


class Alarm(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """Stops a training after so many seconds, at the end of a step."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start to count."""
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look at the clock."""
        control.should_training_stop = time.perf_counter() - self.started >= self.seconds


def learned(name: str, seed: int, adapter: str, minutes: float) -> dict[str, Any]:
    """One trainer, one seed: train, then measure; `scores` are each held-out problem's samples, (problems, k)."""
    config = demo(seed)
    problems, held_out = split_problems(config.data, config.eval)
    assert config.eval is not None
    with tempfile.TemporaryDirectory() as folder:
        made = contestant(name, config, problems, adapter, folder)
        made.trainer.add_callback(Alarm(60 * minutes))
        made.train(10_000)
        engine = engine_of(made.loaded, config, S1)
        figures, samples = heldout.measure(engine, held_out, config.eval, config.sampling, config.seed)
    right = [float(sample.is_right is True) for sample in samples if sample.point == "sampled"]
    scores = [right[at : at + config.eval.k] for at in range(0, len(right), config.eval.k)]
    return {
        "steps": len(made.clock.seconds),
        "useful_completions": sum(made.useful),
        "avg_at_k": figures["avg_at_k"],
        "greedy": figures["greedy"],
        "scores": scores,
    }


def samples(scores: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    """(seeds, problems, k) → (problems, seeds × k)."""
    return [list(itertools.chain.from_iterable(rows)) for rows in zip(*scores, strict=True)]


def together(seeds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Over the seeds that both trainers have finished."""
    done = [its for its in seeds.values() if set(its) == set(TRAINERS)]
    if not done:
        return {}
    by_problem = {name: samples([its[name]["scores"] for its in done]) for name in TRAINERS}
    means = {name: [statistics.fmean(scores) for scores in rows] for name, rows in by_problem.items()}
    found: dict[str, Any] = {f"{name}_avg_at_k": cluster_bootstrap(by_problem[name]).as_dict() for name in TRAINERS}
    found["avg_at_k_change"] = paired_bootstrap(means["trl"], means["ours"]).as_dict()
    for name in TRAINERS:
        found[f"{name}_steps"] = [its[name]["steps"] for its in done]
        found[f"{name}_useful_completions"] = [its[name]["useful_completions"] for its in done]
    return found


def main() -> None:
    """Every seed, both trainers; print and keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--adapter", required=True, help="the demo's warm-up: outputs/sft/demo/adapter")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    kept: dict[str, Any] = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    seeds: dict[str, dict[str, Any]] = kept.get("seeds", {})
    for at, seed in enumerate(args.seeds.split(",")):
        its = seeds.setdefault(seed, {})
        for name in TRAINERS if at % 2 else reversed(TRAINERS):
            if name not in its:
                its[name] = learned(name, int(seed), args.adapter, args.minutes)
                print(seed, name, {key: value for key, value in its[name].items() if key != "scores"}, flush=True)
            if args.json:
                figures = {"minutes": args.minutes, **together(seeds), "seeds": seeds}
                args.json.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in together(seeds).items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
