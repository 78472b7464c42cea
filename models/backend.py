"""What loads a model and in which precision, decided and refused in milliseconds: no torch, no Transformers."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from configs.errors import ModelError
from configs.schema.sections import ModelConfig
from models import embedded
from models.adapter_files import check_adapter
from models.processor import has_bf16_units
from models.source import HUB_ID

GPU_DEVICES: tuple[str, ...] = (
    "/dev/nvidiactl",
    "/dev/kfd",
    "/dev/dxg",
)  # CUDA, ROCm, WSL: seen without importing torch


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """The backend and the precision that a model is loaded with, and why; as text: one line for the user."""

    backend: str
    precision: str
    why: str

    def __str__(self) -> str:
        return f"{self.backend}, {self.precision}: {self.why}"


def check_model_config(config: ModelConfig, runs_here: str = "python -m rl.grpo --config gsm8k_cpu.yaml") -> None:
    """Raise `ModelError` for what can be seen without importing torch: names, files, packages, a missing GPU.

    `runs_here`: a command of the same stage that needs no GPU, to name where this one does.
    """
    # 1. names and files
    local = Path(config.name)
    if config.name != embedded.NAME and not local.exists() and not HUB_ID.fullmatch(config.name):
        raise ModelError(
            f"model.name: {config.name} is no folder, no GGUF file and no hub id; "
            f"the embedded model is called {embedded.NAME}"
        )
    if local.is_dir() and not (local / "config.json").is_file():
        raise ModelError(f"model.name: {config.name} holds no config.json, so it is not a model folder")
    if config.adapter is not None:
        check_adapter(config.adapter)
    # 2. the GPU and the packages that the recipe asks for
    if config.backend == "unsloth" and not has_gpu():
        raise ModelError(
            f"model.backend: unsloth needs a GPU and this machine has none; a recipe that runs here: {runs_here}"
        )
    if config.backend == "unsloth" and not importlib.util.find_spec("unsloth"):
        raise ModelError("model.backend: unsloth is not installed; run `pip install 'mull-reasoning[gpu]'`")
    if config.precision in ("nf4", "int8") and not importlib.util.find_spec("bitsandbytes"):
        raise ModelError(f"model.precision: {config.precision} needs bitsandbytes; run `pip install bitsandbytes`")
    # 3. what Unsloth's own vLLM can hold
    if config.fast_inference:
        choice = choose_backend(config)
        if choice.backend == "unsloth":
            check_vllm(choice.precision)


def check_vllm(precision: str) -> None:
    """Raise `ModelError` for base weights that vLLM 0.30 can't hold; bitsandbytes is a plugin of its own since 0.28."""
    if precision == "int8":
        raise ModelError(
            "model.precision: vLLM quantises to 4 bits alone, not to int8; take nf4 or bf16, and of a finished run "
            "serve the merged16 export"
        )
    if precision == "nf4" and not importlib.util.find_spec("vllm_bnb_plugin"):
        raise ModelError(
            "model.precision: nf4 needs vLLM's bitsandbytes plugin; run `pip install --no-deps vllm-bnb-plugin`"
        )


def has_gpu() -> bool:
    """Whether the machine shows a GPU device; cheap enough for the first line of a command."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):  # hidden by the user
        return False
    return any(os.path.exists(device) for device in GPU_DEVICES)


def choose_backend(config: ModelConfig) -> BackendChoice:
    """The recipe's backend and precision, with `auto` decided by what is installed and what the machine has."""
    gpu = has_gpu()
    backend: str = config.backend
    precision: str = config.precision
    why = []
    if backend == "auto":
        unsloth = gpu and importlib.util.find_spec("unsloth") is not None
        backend = "unsloth" if unsloth else "transformers"
        why.append("a GPU and unsloth are here" if unsloth else "no unsloth here" if gpu else "no GPU here")
    else:
        why.append("the recipe asks for this backend")
    if precision == "auto":
        precision, reason = _fastest_precision(gpu)
        why.append(reason)
    else:
        why.append("the recipe asks for this precision")
    return BackendChoice(backend, precision, "; ".join(why))


def _fastest_precision(gpu: bool) -> tuple[str, str]:
    """(precision, why) where the recipe leaves it open."""
    if gpu and importlib.util.find_spec("bitsandbytes") is not None:
        return "nf4", "4-bit saves GPU memory"
    if gpu or has_bf16_units():
        return "bf16", "bf16 halves the memory traffic of fp32"
    return "fp32", "this processor has no units for bf16, so fp32 is several times as fast, in twice the memory"


def import_backend(config: ModelConfig) -> None:
    """Import Unsloth if it will load the model: it patches Transformers and TRL, so it has to come before them."""
    if choose_backend(config).backend == "unsloth":
        import unsloth  # noqa: F401
