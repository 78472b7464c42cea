"""`load_model`: a recipe's `model:` and `adapter:` sections → a model that is ready to train or to sample from.

Hub ids, local folders, GGUF files and the embedded model all load by one `model.name`.
"""

import importlib.util
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ModelError
from configs.schema.sections import AdapterConfig, ModelConfig
from models import embedded
from models.processor import has_bf16_units

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # CUDA, ROCm, WSL: seen without importing torch
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]  # Unsloth has no "all-linear"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with what an engine or an export needs to know about it.

    `base` is the folder or hub id of the untouched base weights; `precision` is how they are held; `choice` says which
    backend and precision were picked, and why.
    """

    model: Any
    tokenizer: Any
    base: str
    backend: str
    precision: str
    choice: str


def load_model(config: ModelConfig, adapter: AdapterConfig | None = None, seed: int = 42) -> LoadedModel:
    """Load `config.name`, put a LoRA on it, and return both with the tokenizer.

    With `config.adapter` that adapter is loaded, trainable if `adapter` is given and frozen otherwise; without it a
    fresh one of `adapter`'s shape is added, or none if that is `None`. Raises `ModelError`.
    """
    from safetensors import SafetensorError

    check(config)
    backend, precision, choice = pick(config)
    base = base_of(config)
    load = _load_unsloth if backend == "unsloth" else _load_transformers
    try:
        model, tokenizer = load(base, precision, config, adapter, seed)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ModelError(f"model.name: {config.name} can't be loaded: {first_line(error)}") from error
    finish_tokenizer(tokenizer, model)
    return LoadedModel(model, tokenizer, base, backend, _held(model, precision), choice)


def check(config: ModelConfig, runs_here: str = "python -m rl.grpo --config gsm8k_cpu.yaml") -> None:
    """Raise `ModelError` for what can be seen without importing torch: names, files, packages, a missing GPU.

    `runs_here`: a command of the same stage that needs no GPU, to name where this one does.
    """
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
    if config.backend == "unsloth" and not has_gpu():
        raise ModelError(
            f"model.backend: unsloth needs a GPU and this machine has none; a recipe that runs here: {runs_here}"
        )
    if config.backend == "unsloth" and not importlib.util.find_spec("unsloth"):
        raise ModelError("model.backend: unsloth is not installed; run `pip install 'mull-reasoning[gpu]'`")
    if config.precision in ("nf4", "int8") and not importlib.util.find_spec("bitsandbytes"):
        raise ModelError(f"model.precision: {config.precision} needs bitsandbytes; run `pip install bitsandbytes`")
    if config.fast_inference:
        backend, precision, _ = pick(config)
        if backend == "unsloth":
            check_vllm(config.name, precision)


def check_vllm(name: str, precision: str) -> None:
    """Raise `ModelError` for base weights that vLLM 0.30 can't hold; bitsandbytes is a plugin of its own since 0.28."""
    if Path(name).suffix == ".gguf":
        raise ModelError(f"model.name: vLLM reads no GGUF file like {name}; name the model's safetensors")
    if precision == "int8":
        raise ModelError(
            "model.precision: vLLM quantises to 4 bits alone, not to int8; take nf4 or bf16, and of a finished run "
            "serve the merged16 export"
        )
    if precision == "nf4" and not importlib.util.find_spec("vllm_bnb_plugin"):
        raise ModelError(
            "model.precision: nf4 needs vLLM's bitsandbytes plugin; run `pip install --no-deps vllm-bnb-plugin`"
        )


def check_adapter(adapter: str) -> dict[str, Any]:
    """The adapter's own config if it is a local folder ({} for a hub id); raises `ModelError` if it is neither."""
    folder = Path(adapter)
    file = folder / "adapter_config.json"
    if is_adapter(folder):
        return dict(json.loads(file.read_text(encoding="utf-8")))
    if folder.exists() or not HUB_ID.fullmatch(adapter):
        missing = weights_of(folder).name if file.is_file() else file.name
        raise ModelError(f"model.adapter: {adapter} holds no {missing}; train one first, or name a hub id")
    return {}


def is_adapter(folder: Path) -> bool:
    """Whether a LoRA with its weights is there."""
    return (folder / "adapter_config.json").is_file() and weights_of(folder).is_file()


def weights_of(folder: Path) -> Path:
    """An adapter's file of weights, there or not; an old one's is a pickle."""
    file, old = folder / "adapter_model.safetensors", folder / "adapter_model.bin"
    return old if old.is_file() and not file.is_file() else file


def local_adapter(adapter: str) -> str:
    """The adapter's folder, absolute; a hub id's is fetched. Raises `ModelError`."""
    check_adapter(adapter)
    if Path(adapter).is_dir():
        return str(Path(adapter).absolute())
    from huggingface_hub import snapshot_download

    try:
        return str(snapshot_download(adapter))
    except (OSError, ValueError) as error:
        raise ModelError(f"model.adapter: {adapter} can't be fetched: {first_line(error)}") from error


def has_gpu() -> bool:
    """Whether the machine shows a GPU device; cheap enough for the first line of a command."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):  # hidden by the user
        return False
    return any(os.path.exists(device) for device in GPU_DEVICES)


def pick(config: ModelConfig) -> tuple[str, str, str]:
    """(backend, precision, a sentence that says why)."""
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
    return backend, precision, f"{backend}, {precision}: {'; '.join(why)}"


def _fastest_precision(gpu: bool) -> tuple[str, str]:
    """(precision, why) where the recipe leaves it open."""
    if gpu and importlib.util.find_spec("bitsandbytes") is not None:
        return "nf4", "4-bit saves GPU memory"
    if gpu or has_bf16_units():
        return "bf16", "bf16 halves the memory traffic of fp32"
    return "fp32", "this processor has no units for bf16, so fp32 is several times as fast, in twice the memory"


def import_backend(config: ModelConfig) -> None:
    """Import Unsloth if it will load the model: it patches Transformers and TRL, so it has to come before them."""
    if pick(config)[0] == "unsloth":
        import unsloth  # noqa: F401


def base_of(config: ModelConfig) -> str:
    """What `from_pretrained` gets: the embedded model's folder, else the name itself."""
    return str(embedded.embedded_model_folder()) if config.name == embedded.NAME else config.name


def source_kwargs(base: str) -> dict[str, str]:
    """How `from_pretrained` finds `base`: a GGUF file is named apart from its folder."""
    path = Path(base)
    if path.suffix == ".gguf":
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    return {"pretrained_model_name_or_path": base}


def load_tokenizer(config: ModelConfig) -> Any:
    """The tokenizer alone, as `load_model` returns it."""
    from transformers import AutoTokenizer

    check(config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(**source_kwargs(base_of(config)))
    except (OSError, ValueError) as error:
        raise ModelError(f"model.name: {config.name} can't be loaded: {first_line(error)}") from error
    finish_tokenizer(tokenizer, None)
    return tokenizer


def finish_tokenizer(tokenizer: Any, model: Any) -> None:
    """Left padding (generation needs it) and a pad token that is not the EOS where the vocabulary has one.

    A pad token equal to EOS gets masked out of the SFT loss by many collators: such a model never learns to stop.
    """
    if tokenizer.chat_template is None:
        raise ModelError(
            "model.name: the tokenizer has no chat template; use an instruct model, or add one to its folder"
        )
    if isinstance(tokenizer.chat_template, dict):  # several by name, for tools and the like
        if "default" not in tokenizer.chat_template:
            raise ModelError(
                f"model.name: none of the tokenizer's chat templates ({', '.join(tokenizer.chat_template)}) is called "
                "default; keep the one to use in its folder"
            )
        tokenizer.chat_template = tokenizer.chat_template["default"]
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        vocabulary = tokenizer.get_vocab()
        spare = (t for t in ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>", "<unk>") if t in vocabulary)
        tokenizer.pad_token = next((t for t in spare if t != tokenizer.eos_token), tokenizer.eos_token)
    tokenizer.padding_side = "left"
    if model is not None:
        model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id


def _load_transformers(
    base: str, precision: str, config: ModelConfig, adapter: AdapterConfig | None, seed: int
) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)  # LoRA's A matrices are drawn at random
    tokenizer = AutoTokenizer.from_pretrained(**source_kwargs(base))
    packing = quantization(precision)
    model = AutoModelForCausalLM.from_pretrained(
        **source_kwargs(base),
        dtype=torch.float32 if precision == "fp32" else torch.bfloat16,
        **({} if packing is None else {"quantization_config": packing}),  # a None would hide that a model is packed
        device_map=device_map(torch.cuda.is_available(), os.environ),
    )
    if _held(model, precision) in ("nf4", "int8") and adapter is not None:
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return put_adapter(model, config, adapter), tokenizer


def device_map(gpus: bool, environment: Mapping[str, str]) -> Any:
    """Where weights go: over all of the machine's GPUs, but whole onto its own for each of several processes."""
    if not gpus:
        return "cpu"
    return {"": int(environment["LOCAL_RANK"])} if int(environment.get("WORLD_SIZE", "1")) > 1 else "auto"


def quantization(precision: str) -> Any:
    """The bitsandbytes config of a precision, or None; NF4 as QLoRA has it (Dettmers et al. 2023, §3)."""
    if precision not in ("nf4", "int8"):
        return None
    import torch
    from transformers import BitsAndBytesConfig

    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def put_adapter(model: Any, config: ModelConfig, adapter: AdapterConfig | None) -> Any:
    """`model` with the adapter that the recipe names or shapes; the model itself if it has neither."""
    from peft import LoraConfig, PeftModel, get_peft_model
    from safetensors import SafetensorError

    if config.adapter is not None:
        check_adapter(config.adapter)
        try:
            return PeftModel.from_pretrained(model, config.adapter, is_trainable=adapter is not None)
        except (RuntimeError, OSError, ValueError, SafetensorError) as error:
            raise ModelError(
                f"model.adapter: {config.adapter} does not fit {config.name}: {first_line(error)}"
            ) from error
    if adapter is None:
        return model
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.r,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.target_modules,
        use_rslora=adapter.rslora,
    )
    try:
        return get_peft_model(model, lora)
    except ValueError as error:
        raise ModelError(f"adapter.target_modules: {first_line(error)}") from error


def _load_unsloth(
    base: str, precision: str, config: ModelConfig, adapter: AdapterConfig | None, seed: int
) -> tuple[Any, Any]:
    import torch
    from unsloth import FastLanguageModel  # before trl and transformers: it patches both

    shape = check_adapter(config.adapter) if config.adapter else {}
    if trained_on := shape.get("base_model_name_or_path"):
        _check_copies(base, trained_on)
    rank = int(shape.get("r") or (adapter.r if adapter else 0))
    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=config.adapter or base,  # Unsloth reads the base out of an adapter's folder
        max_seq_length=config.max_length,
        dtype=torch.float32 if precision == "fp32" else None,  # None: the 16 bits that the GPU has
        load_in_4bit=precision == "nf4",
        load_in_8bit=precision == "int8",
        fast_inference=config.fast_inference,
        gpu_memory_utilization=config.gpu_memory_utilization,
        **({"max_lora_rank": rank} if rank else {}),
    )
    if adapter is not None and config.adapter is None:
        model = FastLanguageModel.get_peft_model(
            model,
            r=adapter.r,
            lora_alpha=adapter.alpha,
            lora_dropout=adapter.dropout,
            target_modules=LINEAR if adapter.target_modules == "all-linear" else adapter.target_modules,
            use_rslora=adapter.rslora,
            use_gradient_checkpointing="unsloth",
            random_state=seed,
        )
    return model, tokenizer


def _check_copies(base: str, trained_on: str) -> None:
    """Raise `ModelError` unless an adapter's base is the recipe's; Unsloth's copies of it count as it."""
    from unsloth.models.loader_utils import get_model_name

    def original(name: str) -> str:
        return Path(get_model_name(get_model_name(name, load_in_4bit=True), load_in_4bit=False)).name.casefold()

    if original(base) != original(trained_on):
        raise ModelError(f"model.adapter: was trained on {trained_on}; set model.name to it, or name another adapter")


def _held(model: Any, precision: str) -> str:
    """How the weights are held: as asked, unless they were packed already where they come from."""
    packed = [name for name, bits in (("nf4", 4), ("int8", 8)) if getattr(model, f"is_loaded_in_{bits}bit", False)]
    return packed[0] if packed else precision


def first_line(error: Exception) -> str:
    """What a library's error says first; its type where it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
