"""What watching a GRPO run costs, and what it saves of a run whose policy collapses.

    python benchmarks/watched.py --adapter outputs/sft/demo/adapter [--json FILE] [--watched 32] [--steps 3]

The demo's recipe on the embedded model, from the demo's warm-up.

    cost        `--steps` steps and a measurement of `--watched` held-out problems, greedy and avg@4: `step_seconds`,
                `measure_seconds` (medians), `watch_share` of the run's time where every ten steps are followed by one,
                and `watched_for_a_tenth`, how many problems could be watched for a tenth of it
    collapse    a run of small steps whose learning rate is multiplied by 20 halfway: avg@4 with its interval at the
                start, at the best step and at the last; `saved_is_best`: whether the saved adapter is bit for bit that
                of the best step
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

from safetensors.torch import load_file
from transformers import TrainerCallback

from configs.run_directory import RunDir, read_jsonl, write_json
from rl import trainer
from rl.grpo import train_grpo

EVERY = 10
HALF, FACTOR = 8, 20
SMALL = ["trainer.gradient_accumulation_steps=2", f"trainer.max_steps={2 * HALF}", "trainer.save_steps=4"]


class Jump(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """The learning rate times `FACTOR` after step `HALF`."""

    def on_step_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """The scheduler sets it anew after every step."""
        if state.global_step >= HALF:
            for group in optimizer.param_groups:
                group["lr"] *= FACTOR


class JumpingTrainer(trainer.RolloutTrainer):
    """`rl.grpo`'s trainer with a learning rate that jumps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_callback(Jump())


def run(args: argparse.Namespace, folder: Path, *more: str) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    """Train as `rl.grpo` does: (the rows of `metrics.jsonl` by their step, `summary.json`)."""
    held_out = [f"eval.data.limit={args.watched}", "eval.when=[]"]
    train_grpo("demo", [f"output_dir={folder}", f"model.adapter={args.adapter}", *held_out, *more])
    rows: dict[int, dict[str, Any]] = {}
    for row in read_jsonl(folder / "metrics.jsonl"):
        rows.setdefault(row["step"], {}).update(row)
    return rows, RunDir(folder).summary()


def cost(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step, and of a measurement."""
    with tempfile.TemporaryDirectory() as folder:
        rows, _ = run(args, Path(folder) / "run", f"trainer.max_steps={args.steps}", f"eval.every={args.steps}")
    step = statistics.median(row["step_seconds"] for at, row in rows.items() if at)
    seconds = statistics.median(row["measure_seconds"] for row in rows.values() if "measure_seconds" in row)
    between = EVERY * step
    return {
        "step_seconds": step,
        "measure_seconds": seconds,
        "watch_share": seconds / (between + seconds),
        "watched_for_a_tenth": int(args.watched * between / 9 / seconds),
    }


def collapse(args: argparse.Namespace) -> dict[str, Any]:
    """A run that comes apart, and what is left of it."""
    from rl import run as rl_run

    rl_run.RolloutTrainer = JumpingTrainer  # type: ignore[attr-defined] # where a run takes it from
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        rows, summary = run(args, path, *SMALL, "eval.every=4")
        best = summary["best_step"]
        weights = [
            load_file(path / name / "adapter_model.safetensors") for name in ("adapter", f"checkpoints/best-{best}")
        ]
    points = {at: row for at, row in rows.items() if "eval_avg_at_k" in row}

    def figure(step: int) -> list[float]:
        return [points[step][f"eval_avg_at_k{end}"] for end in ("", "_low", "_high")]

    return {
        "avg_at_k": {at: row["eval_avg_at_k"] for at, row in points.items()},
        "avg_at_k_start": figure(0),
        "avg_at_k_best": figure(best),
        "avg_at_k_last": figure(max(points)),
        "best_step": best,
        "saved_is_best": all(value.equal(weights[1][name]) for name, value in weights[0].items()),
    }


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watched", description=__doc__.splitlines()[0])
    parser.add_argument("--adapter", required=True, help="the demo's warm-up: outputs/sft/demo/adapter")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--watched", type=int, default=32, help="held-out problems that are watched")
    parser.add_argument("--steps", type=int, default=3, help="steps whose time is taken")
    parser.add_argument("--parts", default="cost,collapse")
    args = parser.parse_args()
    figures: dict[str, Any] = {"watched": args.watched}
    for name, part in (("cost", cost), ("collapse", collapse)):
        if name in args.parts.split(","):
            figures |= part(args)
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if args.json:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
