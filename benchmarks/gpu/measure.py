"""What the parts measure with: the device, milliseconds, peak memory, and models in the shapes of real ones."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen3Config

from configs.schema.sections import ModelConfig
from models.tokenizer import load_tokenizer

ROOT = Path(__file__).resolve().parents[2]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
GIB = 2**30

Figures = Iterator[tuple[str, Any]]


def synchronized() -> float:
    """Seconds, once the device has done what it was asked."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def milliseconds(call: Callable[[], object], runs: int) -> float:
    """The median of `runs` calls, after one that warms up."""
    call()
    taken = []
    for _ in range(runs):
        started = synchronized()
        call()
        taken.append(1000 * (synchronized() - started))
    return statistics.median(taken)


def peak_gib(call: Callable[[], object]) -> float:
    """The most memory that `call` held on the device beyond what was held before; 0 on a CPU."""
    if DEVICE.type != "cuda":
        call()
        return 0.0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return float(torch.cuda.max_memory_allocated() - before) / GIB


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's sizes. `is_qwen3`: with heads of 128 and norms on queries and keys."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    groups: int
    vocabulary: int = 151_936
    is_tied: bool = True
    is_qwen3: bool = False

    def config(self) -> Any:
        """Transformers' config of it."""
        sizes = {
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.is_tied,
            "max_position_embeddings": 32_768,
        }
        return Qwen3Config(head_dim=128, **sizes) if self.is_qwen3 else Qwen2Config(**sizes)


TINY = Shape(64, 128, 2, 4, 2, vocabulary=49_152)
QWEN2_1B5 = Shape(1536, 8960, 28, 12, 2)
QWEN2_7B = Shape(3584, 18_944, 28, 28, 4, vocabulary=152_064, is_tied=False)
QWEN3_0B6 = Shape(1024, 3072, 28, 16, 8, is_qwen3=True)
QWEN3_4B = Shape(2560, 9728, 36, 32, 8, is_qwen3=True)


def random_model(shape: Shape, dtype: torch.dtype) -> Any:
    """A model of that shape with random weights, made on the device."""
    torch.manual_seed(0)
    with DEVICE:
        return AutoModelForCausalLM.from_config(shape.config(), dtype=dtype).eval()


def twin(folder: Path, shape: Shape) -> Path:
    """`folder` with a random model of that shape, in 16 bits, under the embedded model's tokenizer."""
    random_model(shape, torch.bfloat16).save_pretrained(folder)
    load_tokenizer(ModelConfig(name="smollm2-135m")).save_pretrained(folder)
    return folder


def measured(module: str, *arguments: str) -> dict[str, float]:
    """Run `python -m module …` to its end: its seconds, and the most memory that it held on the device.

    Raises `RuntimeError` with its last lines where it fails.
    """
    figures: dict[str, float] = json.loads(_checked(ran("-c", _MEASURED, module, *arguments)).splitlines()[-1])
    return figures


def ran(*words: str) -> subprocess.CompletedProcess[str]:
    """`python …` in the repository, with what it said and its exit code."""
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def figures_of(script: str) -> Figures:
    """What `benchmarks/<script>.py` measures, under its name. Raises `RuntimeError` where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        _checked(ran(f"benchmarks/{script}.py", "--json", str(file)))
        for key, value in json.loads(file.read_text(encoding="utf-8")).items():
            yield f"{script}_{key}", value


def _checked(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed; its last lines are the error where it fails."""
    if done.returncode:
        raise RuntimeError("\n".join([" ".join(map(str, done.args)), *_last(done.stdout), *_last(done.stderr)]))
    return done.stdout


def _last(text: str) -> Sequence[str]:
    return text.strip().splitlines()[-8:]


_MEASURED = """
import importlib, json, sys, time
module = importlib.import_module(sys.argv[1])
started = time.perf_counter()
code = module.main(sys.argv[2:])
import torch
held = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
print(json.dumps({"seconds": round(time.perf_counter() - started, 1), "peak_gib": round(held, 3)}))
sys.exit(code)
"""
