"""What a sweep over budgets costs when its points share their thinking, and what that does to its figures.

    python -m benchmarks.sweep [--adapter FOLDER] [--engine transformers|vllm] [--problems N] [--repeats N]
                               [--json FILE]

The embedded model, best after the demo's SFT (`--adapter`), on generated problems at temperature 1: 8 limits ×
{0, 1, 2} waits.

sweep_tokens_ratio   tokens decoded for the sweep ÷ those of a run of each of its points
sweep_time_ratio     the same of the time of generating
inside_interval      share of (repeat, point) in which the sweep's accuracy lies inside the 95% interval of an
                     independent run of that budget (other seeds)
difference_interval_ratio   width of the 95% interval of the difference between neighbouring budgets, of runs apart with
                     other seeds on as many problems as the sweep's tokens pay for ÷ of the sweep
"""

import argparse
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

prepare_libraries()  # before torch: waiting threads sleep

from configs.recipe import validate
from configs.run_directory import RunDir, read_jsonl, write_json
from configs.schema.evaluation import EvalConfig
from data.think_format import resolve_think_format
from evaluation import metrics, runner
from evaluation.results import Point, scores
from models.engines.base import Engine
from models.engines.select import load_engine

LIMITS, WAITS = (8, 12, 16, 20, 24, 32, 48, 64), (0, 1, 2)
FEW = (8, 16, 24, 32)
"""Limits of the repeats."""


def config_of(args: argparse.Namespace, points: Sequence[tuple[int, int]], problems: int, seed: int) -> EvalConfig:
    """A recipe of so many (limit, waits)."""
    values = {
        "model": {"name": "smollm2-135m", "adapter": args.adapter, "max_length": 512},
        "engine": {"name": args.engine, "batch_size": 64},
        "data": {
            "source": "arithmetic",
            "limit": problems,
            "seed": 77,
            "params": {"largest": 50, "operations": ["+", "-", "*"]},
        },
        "budgets": [{"max_thinking": limit, "num_waits": waits, "max_answer": 16} for limit, waits in points],
        "sampling": {"temperature": 1.0},
        "seed": seed,
    }
    config: EvalConfig = validate("eval", values, "benchmark.yaml")
    return config


def measure(config: EvalConfig, engine: Engine) -> tuple[list[Point], int, float]:
    """The points, the tokens decoded for them, and the seconds of generating."""
    run = RunDir(tempfile.mkdtemp(prefix="mull-benchmark-"))
    started = time.perf_counter()
    points = runner.generate(config, runner.problems_of(config), run, engine)
    seconds = time.perf_counter() - started

    return points, sum(row["decoded_tokens"] for row in read_jsonl(run / "metrics.jsonl")), seconds


def cost(args: argparse.Namespace, engine: Engine) -> dict[str, float]:
    """A sweep against a run of each of its points."""
    its = [(limit, waits) for limit in LIMITS for waits in WAITS]
    _, tokens, seconds = measure(config_of(args, its, args.problems, 1), engine)
    alone = [measure(config_of(args, [point], args.problems, 1), engine) for point in its]
    own_tokens, own_seconds = sum(one[1] for one in alone), sum(one[2] for one in alone)
    print(f"sweep {tokens} tokens, {seconds:.1f} s; its points {own_tokens} tokens, {own_seconds:.1f} s", flush=True)
    return {"sweep_tokens_ratio": tokens / own_tokens, "sweep_time_ratio": seconds / own_seconds}


def accuracies(point: Point, problems: int) -> list[float]:
    """Of the first so many problems, in their order."""
    return [sum(its) / len(its) for its in scores(point.samples).values()][:problems]


def width(a: Sequence[float], b: Sequence[float]) -> float:
    """Of the interval of the difference."""
    interval = metrics.paired_bootstrap(a, b)
    return interval.high - interval.low


def repeat(args: argparse.Namespace, engine: Engine, number: int) -> dict[str, Any]:
    """A sweep, and runs of its points apart, each with seeds of its own."""
    its = [(limit, 0) for limit in FEW]
    shared, tokens, _ = measure(config_of(args, its, args.problems, 1000 + number), engine)
    apart = [
        measure(config_of(args, [point], args.problems, 2000 + 10 * number + at), engine)
        for at, point in enumerate(its)
    ]
    inside = []
    for point, (alone, _, _) in zip(shared, apart, strict=True):
        interval = metrics.accuracy(list(scores(alone[0].samples).values()))
        value = statistics.fmean(accuracies(point, args.problems))
        inside.append(interval.low <= value <= interval.high)
    paid = max(2, round(args.problems * tokens / sum(one[1] for one in apart)))
    ratios = []
    for (([a], _, _), ([b], _, _)), (c, d) in zip(pairwise(apart), pairwise(shared), strict=True):
        own = width(accuracies(a, paid), accuracies(b, paid))
        ratios.append(own / max(width(accuracies(c, args.problems), accuracies(d, args.problems)), 1e-9))
    return {"inside": inside, "ratios": ratios}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--adapter", help="of the embedded model, such as the demo's after SFT")
    parser.add_argument("--engine", default="transformers", choices=["transformers", "vllm"])
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    config = config_of(args, [(8, 0)], 8, 1)
    engine = load_engine(config.engine, config.model, resolve_think_format(config.think_format))
    measure(config, engine)  # warm up
    figures: dict[str, float] = cost(args, engine)
    found = [repeat(args, engine, number) for number in range(args.repeats)]
    engine.close()
    if found:
        figures["inside_interval"] = statistics.fmean(its for one in found for its in one["inside"])
        figures["difference_interval_ratio"] = statistics.median(ratio for one in found for ratio in one["ratios"])
    for name, value in figures.items():
        print(f"{name:28} {value:.3f}")
    if args.json:
        write_json(args.json, {"engine": args.engine, "problems": args.problems, "repeats": args.repeats, **figures})


if __name__ == "__main__":
    main()
