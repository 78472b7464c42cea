"""How soon a weak student is near its teacher: on-policy distillation against GRPO, from the same weights.

    python benchmarks/distillation.py --student outputs/sft/student/adapter --teacher outputs/sft/demo/adapter
                                      [--folder DIR] [--seeds 0] [--steps 16] [--grpo-steps 64] [--json FILE]

The student had 20 steps of the demo's SFT, the teacher all 70: `configs/grpo/distill_cpu.yaml` says how. Each seed runs
both commands as users do, `distill_cpu.yaml` and `demo.yaml` (with its reward), and saves every few steps; then the
saved adapters are measured in their order, on the recipe's held-out problems, until one has 90% of the teacher's avg@4.
Minutes are those of the steps, without measuring.

    teacher, student          avg@4, {value, low, high, n}
    <method>_minutes          to the first saved adapter with 90% of the teacher's avg@4; null: none has it
    <method>_minutes_spent    of all steps
    minutes_ratio             distillation's minutes ÷ GRPO's; against all of GRPO's where that never came so far
    seeds                     of every seed and method: (step, minutes, avg@4) of each adapter that was measured

DIR keeps the runs: what was killed is resumed, and FILE keeps what was measured.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

from configs.recipe import load_recipe
from configs.run_directory import read_jsonl
from configs.schema.grpo import GrpoConfig
from configs.schema.sections import EngineConfig, ModelConfig
from data.splits import split_problems
from data.think_format import S1
from models.engines.select import load_engine
from training import heldout

SHARE = 0.9
RECIPES = {"distillation": "distill_cpu.yaml", "grpo": "demo.yaml"}
EVERY = {"distillation": 2, "grpo": 8}
"""Steps between two saved adapters."""


def overrides(method: str, args: argparse.Namespace, seed: str, run: Path) -> list[str]:
    """What a method's recipe is told beside what it says."""
    steps = args.steps if method == "distillation" else args.grpo_steps
    told = [
        f"output_dir={run}", f"model.adapter={args.student}", "eval=null", f"seed={seed}",
        f"trainer.max_steps={steps}", f"trainer.save_steps={EVERY[method]}",
    ]  # fmt: skip
    return told + ([f"teacher.model.adapter={args.teacher}"] if method == "distillation" else [])


def train(method: str, args: argparse.Namespace, seed: str, run: Path) -> None:
    """The command, from the start or from where it was killed."""
    if (run / "adapter").is_dir():
        return
    words = [sys.executable, "-m", "rl.grpo", "--config", RECIPES[method], *overrides(method, args, seed, run)]
    resume = ["--resume"] if (run / "config.yaml").is_file() else []
    subprocess.run([*words, *resume], cwd=ROOT, check=True)


def checkpoints(run: Path) -> Iterator[tuple[int, float, Path]]:
    """(step, minutes until then, adapter) of each saved adapter, in their order."""
    seconds = {row["step"]: row["step_seconds"] for row in read_jsonl(run / "metrics.jsonl") if "step_seconds" in row}
    folders = {int(folder.name.rpartition("-")[2]): folder for folder in (run / "checkpoints").glob("checkpoint-*")}
    for step in sorted(folders):
        yield step, sum(time for at, time in seconds.items() if at <= step) / 60, folders[step]


class Measured:
    """avg@4 of adapters on the recipe's held-out problems; `kept` has those that are known."""

    def __init__(self, config: GrpoConfig, kept: dict[str, Any], keep: Callable[[], None]) -> None:
        self.config, self.kept, self.keep = config, kept, keep
        self.held_out = split_problems(config.data, config.eval)[1]

    def __call__(self, adapter: Path) -> dict[str, Any]:
        key = str(adapter)
        if key not in self.kept:
            assert self.config.eval is not None
            model = ModelConfig(name=self.config.model.name, adapter=key, max_length=self.config.model.max_length)
            engine = load_engine(EngineConfig(name="transformers", batch_size=100), model, S1)
            figures, _ = heldout.measure(engine, self.held_out, self.config.eval, self.config.sampling, 0)
            self.kept[key] = figures["avg_at_k"]
            engine.close()
            self.keep()
        found: dict[str, Any] = self.kept[key]
        return found


def path_to(goal: float, run: Path, measure: Measured) -> Iterator[tuple[int, float, float]]:
    """(step, minutes, avg@4) of the saved adapters up to the first that has `goal`."""
    for step, minutes, adapter in checkpoints(run):
        value = measure(adapter)["value"]
        yield step, round(minutes, 2), value
        if value >= goal:
            return


def together(seeds: dict[str, dict[str, Any]], goal: float) -> dict[str, Any]:
    """Medians over the seeds that have both methods."""
    done = [of for of in seeds.values() if set(of) == set(RECIPES)]
    if not done:
        return {}
    found: dict[str, Any] = {}
    for method in RECIPES:
        reached = [next((at[1] for at in of[method]["path"] if at[2] >= goal), None) for of in done]
        known = [minutes for minutes in reached if minutes is not None]
        found[f"{method}_minutes"] = statistics.median(known) if len(known) == len(done) else None
        found[f"{method}_minutes_spent"] = statistics.median(of[method]["minutes"] for of in done)
    mine, other = found["distillation_minutes"], found["grpo_minutes"] or found["grpo_minutes_spent"]
    return found | {"minutes_ratio": mine / other if mine else None, "grpo_came_so_far": bool(found["grpo_minutes"])}


def main() -> None:
    """Every seed, both methods; print and keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--student", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("outputs/benchmarks/distillation"))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--grpo-steps", type=int, default=64)
    parser.add_argument("--problems", type=int, default=200, help="held-out problems that each adapter is measured on")
    parser.add_argument("--methods", default=",".join(RECIPES))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.student, args.teacher = args.student.absolute(), args.teacher.absolute()

    before: dict[str, Any] = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    known, seeds = before.get("measured", {}), before.get("seeds", {})
    kept = {"measured": known, "seeds": seeds}
    config: GrpoConfig = load_recipe("grpo", RECIPES["distillation"], [f"eval.data.limit={args.problems}"])

    def keep(**figures: Any) -> None:
        if args.json:
            args.json.write_text(json.dumps(figures | kept, indent=2) + "\n")

    measure = Measured(config, known, keep)
    teacher, student = measure(args.teacher), measure(args.student)
    goal = SHARE * teacher["value"]
    print(f"teacher {teacher['value']:.1%}, student {student['value']:.1%}, goal {goal:.1%}", flush=True)

    for seed in args.seeds.split(","):
        for method in args.methods.split(","):
            run = (args.folder / seed / method).absolute()
            train(method, args, seed, run)
            path = list(path_to(goal, run, measure))
            spent = [minutes for _, minutes, _ in checkpoints(run)][-1]
            seeds.setdefault(seed, {})[method] = {"path": path, "minutes": round(spent, 2)}
            print(seed, method, path, flush=True)
            keep(teacher=teacher, student=student, goal=goal, **together(seeds, goal))
    for name, value in together(seeds, goal).items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
