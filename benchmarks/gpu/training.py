"""Training as people start it, by its commands: whether it runs, how fast, and in how much memory."""

import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.gpu.measure import (
    GIB,
    QWEN2_1B5,
    QWEN2_7B,
    QWEN3_0B6,
    QWEN3_4B,
    TINY,
    Figures,
    Shape,
    figures_of,
    measured,
    twin,
)
from configs.recipe import load_recipe
from configs.run_directory import read_jsonl
from training.micro_batch import grpo_step
from training.step_memory import peak

SHORT_GRPO = ["trainer.max_steps=3", "eval=null", "trainer.save_strategy='no'"]
SMALL = [
    "data.limit=8", "trainer.max_steps=1", "trainer.per_device_train_batch_size=2", "trainer.num_generations=2",
    "trainer.gradient_accumulation_steps=1", "trainer.max_completion_length=8", "rollout.resamples=0",
]  # fmt: skip
PUBLISHED = {"qwen3_0b6": 13_342, "qwen3_4b": 6_229}
"""prime-rl's committed baselines, one H100, LoRA at 16,384 tokens: trained tokens a second."""


def grpo(tiny: bool) -> Figures:
    """Three steps of the demo in two precisions: the gap between what was drawn and what is trained, bound 0.25."""
    with tempfile.TemporaryDirectory() as folder:
        model = [f"model.name={twin(Path(folder) / 'tiny', TINY)}"] if tiny else []
        for precision in ("fp32",) if tiny else ("bf16", "nf4"):
            run = Path(folder) / precision
            words = [f"model.precision={precision}", "model.backend=transformers", f"output_dir={run}", *model]
            used = measured("rl.grpo", "--config", "demo.yaml", *SHORT_GRPO, *words, *(SMALL if tiny else []))
            yield from _steps(f"grpo_{precision}", run, used)


def _steps(name: str, run: Path, used: dict[str, float]) -> Figures:
    steps = list(read_jsonl(run / "metrics.jsonl"))
    for key in ("logprob_gap_mean", "step_seconds"):
        values = [step[key] for step in steps if key in step]
        if values:
            yield f"{name}_{key}", statistics.median(values)
    yield f"{name}_peak_gib", used["peak_gib"]
    yield f"{name}_command_seconds", used["seconds"]


def sft(tiny: bool) -> Figures:
    """LoRA on rows packed to one length, in bf16: tokens a second beside what prime-rl has published."""
    shapes = {"tiny": TINY} if tiny else {"qwen3_0b6": QWEN3_0B6, "qwen3_4b": QWEN3_4B}
    length = 256 if tiny else 16_384
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in shapes.items():
            yield from _sft(name, shape, Path(folder), length, "fp32" if tiny else "bf16", "transformers", tiny)
            if name in PUBLISHED:
                yield f"{name}_published_tokens_per_second", PUBLISHED[name]


def _sft(name: str, shape: Shape, folder: Path, length: int, precision: str, backend: str, tiny: bool) -> Figures:
    model, run = folder / name, folder / f"{name}-{backend}"
    if not model.is_dir():
        twin(model, shape)
    words = [
        f"model.name={model}", f"model.max_length={length}", f"model.precision={precision}", f"model.backend={backend}",
        "eval=null", "trainer.packing=true", "trainer.per_device_train_batch_size=1", f"output_dir={run}",
        f"trainer.max_steps={2 if tiny else 6}", f"data.limit={40 if tiny else 4000}",
    ]  # fmt: skip
    used = measured("sft.train", "--config", "demo.yaml", *words)
    steps = list(read_jsonl(run / "metrics.jsonl"))[1:]  # the first one warms up
    seconds = statistics.median(step["step_seconds"] for step in steps)
    yield f"{name}_{backend}_tokens_per_second", statistics.median(step["tokens_per_second"] for step in steps)
    yield f"{name}_{backend}_step_seconds", seconds
    yield f"{name}_{backend}_peak_gib", used["peak_gib"]


def memory(tiny: bool) -> Figures:
    """The plan's figure for the worst step against what the step took, base weights included in both."""
    with tempfile.TemporaryDirectory() as folder:
        shape = TINY if tiny else QWEN2_1B5
        model, run = twin(Path(folder) / "grpo", shape), Path(folder) / "run"
        precision = "fp32" if tiny else "nf4"
        words = [
            f"model.name={model}", "model.backend=transformers", f"model.precision={precision}", f"output_dir={run}",
            "model.max_length=1024", "trainer.per_device_train_batch_size=8", "trainer.num_generations=8",
            "trainer.gradient_accumulation_steps=1", "trainer.max_completion_length=768", *SHORT_GRPO,
        ]  # fmt: skip
        words += SMALL if tiny else ["trainer.max_steps=1"]
        config = load_recipe("grpo", "demo.yaml", words)
        yield "gsm8k_shape_estimate_gib", sum(peak(grpo_step(config, 256)).values()) / GIB
        yield "gsm8k_shape_peak_gib", measured("rl.grpo", "--config", "demo.yaml", *words)["peak_gib"]
        if not tiny:
            yield from _sft("s1k_shape", QWEN2_7B, Path(folder), 20_000, "nf4", "transformers", tiny)


def trl(tiny: bool) -> Figures:
    """The benchmarks against plain TRL, as they are."""
    del tiny
    yield from figures_of("grpo_step")
    if os.environ.get("MULL_DATA"):
        yield from figures_of("sft_step")
    else:
        yield "sft_step", "left out: MULL_DATA names no folder with Alpaca's rows"


def unsloth(tiny: bool) -> Figures:
    """SFT of the published shapes and of s1k.yaml's, on Unsloth."""
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in {"qwen3_0b6": QWEN3_0B6, "qwen3_4b": QWEN3_4B}.items():
            yield from _sft(name, shape, Path(folder), 16_384, "bf16", "unsloth", tiny)
        yield from _sft("s1k_shape", QWEN2_7B, Path(folder), 20_000, "nf4", "unsloth", tiny)
