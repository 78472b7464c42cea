"""What a training would take, on GPUs that you may not have: tokens, operations, memory, minutes.

    mull plan --config s1k.yaml --gpu h100 --gpus 1,8 [--model qwen2.5-7b,qwen2.5-32b] [key.path=value …]

Needs no data, no weights, no network and no torch; `--dry-run` of `mull sft` and `mull grpo` reads the data and says
the same of this machine. The formulas, and what their constants rest on, are in `training.cost`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import run_command

if TYPE_CHECKING:
    from configs.schema.grpo import GrpoConfig
    from configs.schema.sft import SftConfig
    from models.accelerators import Accelerator
    from training.micro_batch import Loaded
    from training.step_memory import Step

PARTS = ("training", "drawing", "measuring", "exchange", "rest")
"""What `training.cost.Cost` tells seconds of."""
CUDA = 2**30
"""Bytes that CUDA, its kernels and its allocator take on top."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a recipe does not say: mean tokens, and how many rows its data has; None: the longest, or its limit."""

    rows: int | None = None
    tokens: int | None = None
    prompt_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One model on so many GPUs; bytes a GPU, minutes on the clock."""

    model: str
    gpus: int
    precision: str
    steps: int
    rows_a_step: int
    trained_tokens: float
    drawn_tokens: float
    flops: float
    bytes_a_gpu: float
    fits: bool
    minutes: dict[str, float]

    @property
    def total_minutes(self) -> float:
        """Of all parts."""
        return sum(self.minutes.values())


def main(argv: list[str]) -> None:
    """Parse the command line and print the plan."""
    parser = argparse.ArgumentParser(prog="mull plan", description="What a training would take on other machines.")
    parser.add_argument("--config", required=True, help="a recipe of sft or grpo: a path, or a name")
    parser.add_argument("--stage", choices=("sft", "grpo"), help="where both have a recipe of that name")
    parser.add_argument("--gpu", default="h100", help="h100, h200, a100-80, a100-40, l40s, 4090, 3090, or cpu")
    parser.add_argument("--gpus", default="1", help="how many: a number, or several as 1,8,64")
    parser.add_argument("--model", help="other models than the recipe's: qwen2.5-7b, or several as a,b")
    parser.add_argument("--rows", type=int, help="rows, or problems, to train on, where the recipe sets no limit")
    parser.add_argument("--tokens", type=int, help="mean tokens of a row, or of a completion; default: the longest")
    parser.add_argument("--prompt-tokens", type=int, help="mean tokens of a GRPO prompt; default: the longest")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="changes to the recipe")
    args = parser.parse_intermixed_args(argv)

    models = args.model.split(",") if args.model else []
    assumed = Assumed(args.rows, args.tokens, args.prompt_tokens)
    lines = plan(args.config, args.overrides, args.gpu, args.gpus, models, assumed, args.stage)
    print(json.dumps([asdict(line) for line in lines], indent=2) if args.json else table(lines, args.gpu))


def plan(
    recipe: str,
    overrides: Sequence[str] = (),
    gpu: str = "h100",
    gpus: str = "1",
    models: Sequence[str] = (),
    assumed: Assumed | None = None,
    stage: str | None = None,
) -> list[Line]:
    """A line for each model (default: the recipe's) on each number of `gpus`. Raises `ConfigError`."""
    from configs.recipe import load_recipe

    stage = stage or _stage_of(recipe)
    config = load_recipe(stage, recipe, overrides)
    return [
        _line(config, name, gpu, count, assumed or Assumed())
        for name in models or [config.model.name]
        for count in _counts(gpus)
    ]


def _counts(gpus: str) -> list[int]:
    from configs.errors import ConfigError

    try:
        counts = [int(part) for part in gpus.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise ConfigError(f"--gpus {gpus}: write a number, or several as 1,8,64")
    return counts


def _stage_of(recipe: str) -> str:
    """Whether a recipe is one of sft or of grpo: by the folder that it is in, else by its sections."""
    from configs.errors import ConfigError
    from configs.recipe import RECIPES, find, read_yaml

    path = Path(recipe)
    if path.is_file():
        if path.resolve().parent.name in ("sft", "grpo"):
            return path.resolve().parent.name
        return "grpo" if {"rewards", "teacher", "rollout"} & set(map(str, read_yaml(path))) else "sft"
    name = recipe if recipe.endswith((".yaml", ".yml")) else f"{recipe}.yaml"
    found = [stage for stage in ("sft", "grpo") if (RECIPES / stage / name).is_file()]
    if len(found) == 2:
        raise ConfigError(f"--config {recipe}: sft and grpo both have a recipe of that name; add --stage sft, or grpo")
    if not found:
        find("grpo", recipe)  # says which there are
    return found[0]


def _line(config: "SftConfig | GrpoConfig", name: str, gpu: str, gpus: int, assumed: Assumed) -> Line:
    from configs.schema.grpo import GrpoConfig
    from models.accelerators import accelerator
    from training.cost import cost_of
    from training.micro_batch import engine_name, grpo_step, sft_step
    from training.work import grpo_work, sft_work

    # 1. the micro-batch, its model held as it would be there, and the run's work
    device = accelerator(gpu)
    loaded = _loaded(config, name, on_gpu=device.name != "cpu")
    rows, held_out = _rows(config, assumed), _held_out(config)
    if isinstance(config, GrpoConfig):
        longest = config.model.max_length - config.completion_length
        prompt, completion = assumed.prompt_tokens or longest, assumed.tokens or config.completion_length
        step = grpo_step(config, longest, loaded)
        work = grpo_work(config, rows, prompt, completion, held_out, gpus)
    else:
        tokens = assumed.tokens or config.model.max_length
        step = sft_step(config, config.model.max_length, loaded)
        if config.trl_setting("packing"):
            rows, tokens = -(-rows * tokens // config.model.max_length), config.model.max_length
        work = sft_work(config, rows, tokens, held_out, gpus)

    # 2. what it takes
    cost = cost_of(step, work, device, gpus, engine_name(config, step))
    need = _bytes(config, step, work.drawn / gpus, device)
    return Line(
        model=name,
        gpus=gpus,
        precision=loaded.precision,
        steps=work.steps,
        rows_a_step=round(work.rows),
        trained_tokens=cost.trained_tokens,
        drawn_tokens=cost.drawn_tokens,
        flops=cost.flops,
        bytes_a_gpu=need,
        fits=need <= device.memory,
        minutes={part: getattr(cost, part) / 60 for part in PARTS},
    )


def _loaded(config: "SftConfig | GrpoConfig", name: str, on_gpu: bool) -> "Loaded":
    """How the model would be held; where the recipe is silent by Transformers, and under an adapter in 4 bits."""
    from models.known_sizes import count, sizes_of
    from training.micro_batch import Loaded
    from training.step_memory import Shape

    sizes, precision = sizes_of(name), config.model.precision
    if precision == "auto":
        precision = "nf4" if on_gpu and not config.trains_every_weight else "bf16"
    backend = "unsloth" if config.model.backend == "unsloth" and on_gpu else "transformers"
    return Loaded(Shape.of(sizes, count(sizes)), backend, precision, on_gpu)


def _bytes(config: "SftConfig | GrpoConfig", step: "Step", drawn: float, device: "Accelerator") -> float:
    """Bytes of one device: the more of a training step and, where it draws with the model in training, of drawing."""
    from training.cost import BATCH, cache_bytes
    from training.micro_batch import engine_name, peak_beside_engine

    parts = peak_beside_engine(config, step, device.memory)
    need = sum(parts.values())
    engine = engine_name(config, step)
    if drawn and engine == "transformers":
        held = sum(parts.get(part, 0) for part in ("base weights", "adapter", "optimizer"))
        need = max(need, held + min(drawn, BATCH[engine]) * cache_bytes(step, config.model.max_length))
    return need + (0 if device.name == "cpu" else CUDA)


def _rows(config: "SftConfig | GrpoConfig", assumed: Assumed) -> int:
    """Rows to train on. Raises `ConfigError` where nobody says how many, and steps are counted by epochs."""
    from configs.errors import ConfigError

    sections = [config.data, *getattr(config, "mix", [])]
    limits = [section.limit for section in sections]
    if assumed.rows:
        return assumed.rows
    if all(limits):
        return sum(limit for limit in limits if limit)
    if config.trl_setting("max_steps") > 0:
        return 0  # not asked
    raise ConfigError(
        "--rows: the recipe counts steps by epochs and does not say how many rows there are; add --rows N, or "
        "trainer.max_steps=N"
    )


def _held_out(config: "SftConfig | GrpoConfig") -> int:
    """Held-out problems, as the recipe says; their number where it has no limit is `eval.problems`' default."""
    if config.eval is None:
        return 0
    return (config.eval.data and config.eval.data.limit) or config.eval.problems


def table(lines: Sequence[Line], gpu: str) -> str:
    """The plan as text, with what it assumes."""
    from models.accelerators import accelerator
    from training.cost import GPU

    device = accelerator(gpu)
    heads = (
        "model",
        "GPUs",
        "held",
        "steps",
        "tokens",
        "drawn",
        "operations",
        "GiB a GPU",
        "minutes",
        "drawing",
        "GPU-hours",
    )
    rows = [heads, *map(_cells, lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(heads))]
    text = "\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
    figures = f"{device.name}: {device.flops / 1e12:,.1f} TFLOP/s, {device.memory / 1e9:.0f} GB, {device.source}"
    if device.name == "cpu":
        basis = "assumed: two cores as those that were measured (training.cost)"
    else:
        basis = (
            f"assumed, as nothing was run on a GPU yet: {GPU.training:.0%} of its operations in training, "
            f"{GPU.reading:.0%} of its bandwidth in drawing; DDP"
        )
    notes = "rows and completions at their longest unless --tokens says otherwise; loading is not counted"
    return f"{text}\n{figures}\n{basis}; {notes}"


def _cells(line: Line) -> tuple[str, ...]:
    def short(number: float) -> str:
        return f"{number / 1e6:,.1f}M" if number < 1e9 else f"{number / 1e9:,.2f}B"

    memory = f"{line.bytes_a_gpu / 2**30:.1f}" + ("" if line.fits else " !")
    return (
        line.model, str(line.gpus), line.precision, f"{line.steps} × {line.rows_a_step}", short(line.trained_tokens),
        short(line.drawn_tokens), f"{line.flops:.1e}", memory, f"{line.total_minutes:,.1f}",
        f"{line.minutes['drawing']:,.1f}", f"{line.total_minutes * line.gpus / 60:,.1f}",
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
