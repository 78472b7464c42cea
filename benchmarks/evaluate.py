"""What an evaluation costs beyond its generation; what a sweep costs is in `benchmarks.sweep`.

    python -m benchmarks.evaluate [--json FILE] [--problems N] [--rounds N]

overhead_vs_engine  an evaluation of one budget (prompts, grading, samples.jsonl, results, curve, report; without
                    loading) over the engine's bare `generate` of the same requests; interleaved, median of the rounds
same_text_fp32, same_text_bf16   share of sampled completions with the same text at batch sizes 64 and 8
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.recipe import validate
from configs.run_directory import RunDir, write_json
from configs.schema.evaluation import EvalConfig
from data.think_format import resolve_think_format
from evaluation import runner as evaluation
from evaluation.plan import plan
from models.engines.base import Engine, Request
from models.engines.select import load_engine

WARM_UP = 8  # problems evaluated before anything is timed


def config_of(problems: int, limits: tuple[int, ...], precision: str = "auto", batch: int = 64) -> EvalConfig:
    """A recipe on generated problems with the embedded model, greedy."""
    values = {
        "model": {"name": "smollm2-135m", "backend": "transformers", "precision": precision, "max_length": 512},
        "engine": {"name": "transformers", "batch_size": batch},
        "data": {"source": "arithmetic", "limit": problems, "seed": 77},
        "budgets": [{"max_thinking": limit, "max_answer": 16} for limit in limits],
    }
    config: EvalConfig = validate("eval", values, "benchmark.yaml")
    return config


def seconds(work: Callable[[], Any]) -> float:
    """Wall-clock time of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def evaluate(config: EvalConfig, engine: Engine) -> Path:
    """A whole evaluation into a fresh folder; the folder."""
    run = RunDir(tempfile.mkdtemp(prefix="mull-benchmark-"))
    problems = evaluation.problems_of(config)
    evaluation.finish(config, problems, run, evaluation.generate(config, problems, run, engine))
    return run.path


def bare(config: EvalConfig, engine: Engine) -> Callable[[], Any]:
    """The engine's own `generate` of the requests that `evaluate` would make."""
    [tasks] = plan(config, evaluation.problems_of(config), engine)
    requests = [Request(task.prompt_ids, config.sampling, seed=task.seed, budget=task.budget) for task in tasks]
    return lambda: engine.generate(requests)


def overhead(config: EvalConfig, engine: Engine, rounds: int) -> float:
    """Median over rounds of evaluation time by generation time; which comes first alternates."""
    generate = bare(config, engine)
    ratios = []
    for at in range(rounds):
        if at % 2:
            plain, whole = seconds(generate), seconds(lambda: evaluate(config, engine))
        else:
            whole, plain = seconds(lambda: evaluate(config, engine)), seconds(generate)
        ratios.append(whole / plain)
        print(f"round {at}: generation {plain:.1f} s, evaluation {whole:.1f} s, ratio {ratios[-1]:.3f}")
    return statistics.median(ratios)


def same_text(problems: int, precision: str) -> float:
    """Share of samples whose text is the same at batch sizes 64 and 8."""
    texts: list[dict[str, str]] = []
    for batch in (64, 8):
        config = config_of(problems, (48,), precision, batch)
        config = config.model_copy(update={"sampling": config.sampling.model_copy(update={"temperature": 1.0})})
        engine = load_engine(config.engine, config.model, resolve_think_format(config.think_format))
        lines = (evaluate(config, engine) / "samples.jsonl").read_text(encoding="utf-8").splitlines()
        texts.append({row["id"]: row["text"] for row in map(json.loads, lines)})
        engine.close()
    same = sum(texts[0][id] == text for id, text in texts[1].items())
    return same / len(texts[0])


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--problems", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    config = config_of(args.problems, (64,))
    engine = load_engine(config.engine, config.model, resolve_think_format(config.think_format))
    evaluate(config_of(WARM_UP, (8,)), engine)
    figures = {
        "problems": args.problems,
        "overhead_vs_engine": overhead(config, engine, args.rounds),
    }
    engine.close()
    figures |= {f"same_text_{precision}": same_text(args.problems, precision) for precision in ("fp32", "bf16")}
    for name, value in figures.items():
        print(f"{name:20} {value:.3f}")
    if args.json:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
