"""Whether a model learns to use the budget that it is told: accuracy over thinking tokens against plain GRPO's.

    python benchmarks/told_budgets.py --adapter outputs/sft/demo/adapter [--minutes 10] [--seeds 0,1,2] [--json FILE]

Each seed trains two models from the same warm-up for so many minutes of steps, in turn: `told` by the recipe
told_budgets_cpu.yaml, `plain` by the same recipe without its budget. Both are measured by `evaluation.evaluate`,
greedy, under the five limits of configs/eval/told_budgets.yaml, told the limit; the plain one also as it was trained,
told nothing. A problem's area is that of its right answers over the limits, by trapezoids, as a share of the greatest.

    <curve>          accuracy under each limit, and `area`: mean over seeds and problems; of told, plain, plain_told
    area_change      told less plain, {value, low, high, n}: paired bootstrap over problems, all seeds together
    area_change_both_told   told less plain_told
    seeds            of each seed: steps made, seconds, and each problem's right answers, (limits, problems)

FILE gets a model's figures when it is done, and what it has is not run again. A seed takes twice the minutes, and the
three measurements. To try the script: `--problems` (200) measures on fewer, `--tiny` trains on 8 completions a step.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

from benchmarks.demo_task import Alarm, contestant
from configs.recipe import load_recipe
from configs.schema.evaluation import EvalConfig
from configs.schema.grpo import GrpoConfig
from data.splits import split_problems
from evaluation.evaluate import evaluate
from evaluation.metrics import paired_bootstrap
from evaluation.sample_store import SampleStore

CURVES = {"told": ("told", True), "plain": ("plain", False), "plain_told": ("plain", True)}
"""Curve → (which model, whether it is told the limit)."""
Right = list[list[float]]
"""(limits, problems): 1 where the answer is right."""


def recipe(model: str, seed: int, is_tiny: bool = False) -> GrpoConfig:
    """What trains a model: the shipped recipe, or the same without a budget."""
    plain = ["rollout.budget=null"] if model == "plain" else []
    tiny = ["trainer.gradient_accumulation_steps=1", "rollout.resamples=0"] if is_tiny else []
    config: GrpoConfig = load_recipe("grpo", "told_budgets_cpu", [f"seed={seed}", *plain, *tiny])
    return config


def measurement(adapter: Path, folder: Path, is_told: bool, problems: int) -> EvalConfig:
    """The shipped evaluation of an adapter; where it is not told, nothing else changes."""
    overrides = [f"model.adapter={adapter}", f"output_dir={folder}", f"data.limit={problems}"]
    points = len(load_recipe("eval", "told_budgets").budgets)
    untold = [] if is_told else [f"budgets.{at}.told=false" for at in range(points)]
    config: EvalConfig = load_recipe("eval", "told_budgets", [*overrides, *untold])
    return config


def right_answers(config: EvalConfig) -> Right:
    """Evaluate; each limit's right answers, in the order of the problems."""
    results = evaluate(config)
    assert results is not None
    samples = list(SampleStore(Path(config.output_dir) / "samples.jsonl").load().values())
    by_label = {point["label"]: {s.id: float(s.is_right is True) for s in samples if s.point == point["label"]}
                for point in results["points"]}  # fmt: skip
    ids = sorted(next(iter(by_label.values())))
    return [[right[one] for one in ids] for right in by_label.values()]


def learned(model: str, config: GrpoConfig, adapter: str, minutes: float, problems: int) -> dict[str, Any]:
    """One model, one seed: train, save, measure every curve of it."""
    train, _ = split_problems(config.data, config.eval)
    with tempfile.TemporaryDirectory() as folder:
        made = contestant("ours", config, train, adapter, folder)
        made.trainer.add_callback(Alarm(60 * minutes))
        made.train(10_000)
        trained = Path(folder) / "adapter"
        made.trainer.model.save_pretrained(str(trained))
        made.loaded.tokenizer.save_pretrained(str(trained))
        figures: dict[str, Any] = {"steps": len(made.clock.seconds), "useful_completions": sum(made.useful)}
        for curve, (of, is_told) in CURVES.items():
            if of == model:
                started = time.perf_counter()
                figures[curve] = right_answers(measurement(trained, Path(folder) / curve, is_told, problems))
                figures[f"{curve}_seconds"] = round(time.perf_counter() - started, 1)
    return figures


def areas(right: Right, limits: Sequence[int]) -> list[float]:
    """(problems,) the area under each problem's right answers over the limits, as a share of the greatest possible."""
    width = limits[-1] - limits[0]
    steps = [(b - a) / (2 * width) for a, b in pairwise(limits)]
    return [
        sum(step * (low + high) for step, (low, high) in zip(steps, pairwise(problem), strict=True))
        for problem in zip(*right, strict=True)
    ]


def together(seeds: dict[str, dict[str, Any]], limits: Sequence[int]) -> dict[str, Any]:
    """Over the seeds for which both models are measured."""
    done = [{**its["told"], **its["plain"]} for its in seeds.values() if {"told", "plain"} <= set(its)]
    if not done:
        return {}
    found: dict[str, Any] = {}
    problem_areas = {}
    for curve in CURVES:
        accuracy = {
            n: statistics.fmean(statistics.fmean(its[curve][at]) for its in done) for at, n in enumerate(limits)
        }
        problem_areas[curve] = [
            statistics.fmean(its) for its in zip(*(areas(one[curve], limits) for one in done), strict=True)
        ]
        found[curve] = {"accuracy": accuracy, "area": statistics.fmean(problem_areas[curve])}
    found["area_change"] = paired_bootstrap(problem_areas["plain"], problem_areas["told"]).as_dict()
    found["area_change_both_told"] = paired_bootstrap(problem_areas["plain_told"], problem_areas["told"]).as_dict()
    return found


def main() -> None:
    """Every seed, both models; print and keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--adapter", required=True, help="the demo's warm-up: outputs/sft/demo/adapter")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--tiny", action="store_true", help="8 completions a step, none drawn again")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    limits = [point.max_thinking for point in load_recipe("eval", "told_budgets").budgets]
    kept: dict[str, Any] = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    if kept and (kept["minutes"], kept["problems"]) != (args.minutes, args.problems):
        parser.error(f"{args.json} is of {kept['minutes']} minutes and {kept['problems']} problems; name another file")
    seeds: dict[str, dict[str, Any]] = kept.get("seeds", {})
    for at, seed in enumerate(args.seeds.split(",")):
        its = seeds.setdefault(seed, {})
        for model in ("told", "plain") if at % 2 else ("plain", "told"):
            if model not in its:
                config = recipe(model, int(seed), args.tiny)
                its[model] = learned(model, config, args.adapter, args.minutes, args.problems)
                shown = {name: value for name, value in its[model].items() if name not in CURVES}
                print(seed, model, shown, flush=True)
            if args.json:
                figures = {
                    "minutes": args.minutes,
                    "problems": args.problems,
                    **together(seeds, limits),
                    "seeds": seeds,
                }
                args.json.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in together(seeds, limits).items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
