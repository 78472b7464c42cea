"""What loads a model and in which precision, decided and refused in milliseconds: no torch, no Transformers."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from configs.errors import ModelError, MullError
from configs.schema.sections import ModelConfig
from configs.schema.training import TrainingConfig
from models import embedded
from models.adapter_files import check_adapter
from models.adapter_types import adapter_type, check_held, check_trained
from models.gguf_cache import is_gguf
from models.processor import has_bf16_units
from models.source import HUB_ID

GPU_DEVICES: tuple[str, ...] = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""CUDA, ROCm, WSL: seen without importing torch."""
RUNNER = "VLLM_USE_V2_MODEL_RUNNER"
"""The environment variable by which vLLM 0.30 takes its V1 model runner (0) or V2 (1)."""
NEEDS_VLLM = (
    "a model that Unsloth has loaded writes completions through its vLLM alone; set model.fast_inference=true, or "
    "model.backend=transformers"
)


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """The backend and the precision that a model is loaded with, and why; as text: one line for the user."""

    backend: str
    precision: str
    why: str

    def __str__(self) -> str:
        return f"{self.backend}, {self.precision}: {self.why}"


def check_model_config(
    config: ModelConfig,
    training: TrainingConfig | None = None,
    runs_here: str = "python -m rl.grpo --config gsm8k_cpu.yaml",
) -> None:
    """Raise a `MullError` for what can be seen without importing torch: names, files, packages, a missing GPU.

    `training`: the recipe that trains the model, if one does. `runs_here`: a command of the same stage that needs no
    GPU, to name where this one does.
    """
    # 1. names and files
    local = Path(config.name)
    if config.name != embedded.NAME and not local.exists() and not HUB_ID.fullmatch(config.name):
        raise ModelError(
            f"model.name: {config.name} is no folder, no GGUF file and no hub id; "
            f"the embedded model is called {embedded.NAME}"
        )
    if local.is_file() and not is_gguf(local):
        raise ModelError(
            f"model.name: {config.name} is a file, and no GGUF file (those begin with GGUF); name the model's folder"
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
    if training is not None and training.engine_section.sleeps and not has_gpu():
        raise ModelError(
            "rollout.engine: sleep_mode frees GPU memory for the training, and this machine has no GPU; leave it out"
        )
    if config.precision in ("nf4", "int8") and not importlib.util.find_spec("bitsandbytes"):
        raise ModelError(f"model.precision: {config.precision} needs bitsandbytes; run `pip install bitsandbytes`")
    # 3. what the adapter's type can't do, and what Unsloth can draw completions with
    kind = adapter_type(config, training)
    if training is not None:
        check_trained(kind, training)
    choice = choose_backend(config, training)
    check_held(kind, choice.precision, has_gpu())
    if choice.backend == "unsloth" and kind not in (None, "lora"):
        raise ModelError(f"model.backend: Unsloth knows LoRA alone, not {kind}; set model.backend=transformers")
    if choice.backend == "unsloth":
        check_unsloth(config, training, choice.precision)


@contextmanager
def about_teacher() -> Iterator[None]:
    """Inside, an error about `model.…` is one about `teacher.model.…`."""
    try:
        yield
    except MullError as error:
        raise type(error)(f"teacher.{error}") from error


def check_unsloth(config: ModelConfig, training: TrainingConfig | None, precision: str) -> None:
    """Raise `ModelError` for completions that a model of Unsloth can't write."""
    if config.fast_inference and precision == "fp32":
        raise ModelError("model.precision: Unsloth's vLLM computes in 16 bits, not in fp32; take bf16 or nf4")
    if config.fast_inference:
        check_vllm(precision)
    if training is None or not training.generates:
        return
    if training.engine == "transformers":
        raise ModelError(
            "rollout.engine: transformers can't drive a model that Unsloth has loaded; set model.backend=transformers, "
            "or rollout.engine=auto with model.fast_inference=true"
        )
    if training.engine == "vllm" and config.fast_inference:
        raise ModelError(
            "rollout.engine: vllm beside model.fast_inference=true is two vLLMs on one GPU; set rollout.engine=auto, "
            "or model.fast_inference=false"
        )
    if training.engine not in ("vllm", "server") and not config.fast_inference:
        raise ModelError(f"model.backend: {NEEDS_VLLM}")


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


def use_v1_runner(config: ModelConfig, training: TrainingConfig | None = None) -> None:
    """Have Unsloth's vLLM start on the V1 model runner, which alone has the logits processors that budgets need.

    Where there are no budgets, V2, vLLM's default on a GPU, may be faster. Raises `ModelError` if the environment asks
    for V2.
    """
    if not config.fast_inference or choose_backend(config, training).backend != "unsloth":
        return
    if os.environ.setdefault(RUNNER, "0") != "0":
        raise ModelError(
            f"budget: budgets need vLLM's V1 model runner, and {RUNNER}={os.environ[RUNNER]} asks for V2; "
            "unset it, or leave the budget out"
        )


def has_gpu() -> bool:
    """Whether the machine shows a GPU device; cheap enough for the first line of a command."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):  # hidden by the user
        return False
    return any(os.path.exists(device) for device in GPU_DEVICES)


def choose_backend(config: ModelConfig, training: TrainingConfig | None = None) -> BackendChoice:
    """The recipe's backend and precision, with `auto` decided by what is installed, what the machine has, and the use.

    `training`: the recipe that trains the model; None: it only writes completions.
    """
    gpu = has_gpu()
    backend: str = config.backend
    precision: str = config.precision
    why = []
    if backend == "auto":
        against = _against_unsloth(config, training, gpu)
        backend = "transformers" if against else "unsloth"
        why.append(against or "a GPU and unsloth are here")
    else:
        why.append("the recipe asks for this backend")
    if precision == "auto":
        every_weight = training is not None and training.trains_every_weight
        precision, reason = _fastest_precision(gpu, every_weight)
        why.append(reason)
    else:
        why.append("the recipe asks for this precision")
    return BackendChoice(backend, precision, "; ".join(why))


def _against_unsloth(config: ModelConfig, training: TrainingConfig | None, gpu: bool) -> str:
    """What speaks against Unsloth where the recipe leaves the backend open; "" if nothing."""
    if not gpu:
        return "no GPU here"
    if importlib.util.find_spec("unsloth") is None:
        return "no unsloth here"
    if training is None:
        return "nothing is trained"
    if training.trains_every_weight:
        return "every weight is trained"
    if training.weighs_tokens:
        return "a teacher gives each token an advantage of its own, and Unsloth's loss takes one a completion"
    if (kind := adapter_type(config, training)) != "lora":
        return f"Unsloth knows LoRA alone, and the adapter is {kind}"
    if training.generates and training.engine not in ("auto", "unsloth"):
        return f"rollout.engine is {training.engine}, not Unsloth's"
    if training.generates and not config.fast_inference:
        return "model.fast_inference is off, and without it a model of Unsloth writes no completions"
    return ""


def _fastest_precision(gpu: bool, every_weight: bool) -> tuple[str, str]:
    """(precision, why) where the recipe leaves it open; quantised weights can't be trained themselves."""
    if gpu and every_weight:
        return "bf16", "every weight is trained"
    if gpu and importlib.util.find_spec("bitsandbytes") is not None:
        return "nf4", "4-bit saves GPU memory"
    if gpu or has_bf16_units():
        return "bf16", "bf16 halves the memory traffic of fp32"
    return "fp32", "this processor has no units for bf16, so fp32 is several times as fast, in twice the memory"


def import_backend(config: ModelConfig, training: TrainingConfig | None = None) -> None:
    """Import Unsloth if it will load the model: it patches Transformers and TRL, so it has to come before them."""
    if choose_backend(config, training).backend == "unsloth":
        import unsloth  # noqa: F401
