"""`load_model`: a recipe's `model:` and `adapter:` sections → a model that is ready to train or to sample from.

Hub ids, local folders, GGUF files and the embedded model all load by one `model.name`.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel, prepare_model_for_kbit_training
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from configs.errors import ModelError, first_line
from configs.schema.adapters import AdapterConfig, LoraConfig
from configs.schema.sections import ModelConfig
from models.adapter_files import LINEAR, check_adapter
from models.adapter_types import check_held
from models.adapters import check_tied, put_adapter, type_on
from models.backend import BackendChoice, check_model_config, choose_backend
from models.gpu import dtype_of
from models.protocols import CausalLM
from models.source import announce_download, base_of, source_of
from models.tokenizer import finish_tokenizer
from models.weights import weight_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with what an engine or an export needs to know about it.

    `base` is the folder or hub id of the untouched base weights; `precision` is how they are held; `choice` says which
    backend and precision were chosen, and why.
    """

    model: "PreTrainedModel | PeftModel"
    tokenizer: "PreTrainedTokenizerBase"
    base: str
    backend: str
    precision: str
    choice: str


def load_model(
    config: ModelConfig | str,
    adapter: AdapterConfig | None = None,
    seed: int = 42,
    choice: BackendChoice | None = None,
) -> LoadedModel:
    """Load `config.name`, put an adapter on it, and return both with the tokenizer; a string is the name.

    With `config.adapter` that adapter is loaded, trainable if `adapter` is given and frozen otherwise; without it a
    fresh one of `adapter`'s type is added, or none if that is `None`. `choice`: a training's; None: that of a model
    which only writes completions. Raises `ModelError`.
    """
    config = ModelConfig(name=config) if isinstance(config, str) else config
    check_model_config(config)
    choice = choice or choose_backend(config)
    base = base_of(config)
    announce_download(base)
    load = _load_unsloth if choice.backend == "unsloth" else _load_transformers
    try:
        model, tokenizer = load(base, choice.precision, config, adapter, seed)
    except (OSError, ValueError, ImportError, RuntimeError, MemoryError, SafetensorError) as error:
        raise ModelError(f"model.name: {config.name} can't be loaded: {first_line(error)}") from error
    _check_embedding(config.name, model, tokenizer)
    held = _held(model, choice.precision)
    check_held(type_on(model), held, torch.cuda.is_available())  # weights may be packed already where they come from
    finish_tokenizer(tokenizer, model)
    return LoadedModel(model, tokenizer, base, choice.backend, held, str(choice))


def _check_embedding(name: str, model: CausalLM, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raise `ModelError` where the tokenizer has ids that the embedding has no row for."""
    rows, ids = model.get_input_embeddings().weight.shape[0], len(tokenizer)
    if ids > rows:
        raise ModelError(
            f"model.name: {name}: its tokenizer has {ids} tokens and its embedding {rows} rows; use the tokenizer "
            f"that came with the weights, or call `model.resize_token_embeddings({ids})` and save both"
        )


def _load_transformers(
    base: str, precision: str, config: ModelConfig, adapter: AdapterConfig | None, seed: int
) -> tuple["PreTrainedModel | PeftModel", "PreTrainedTokenizerBase"]:
    torch.manual_seed(seed)  # adapters start at random
    tokenizer = AutoTokenizer.from_pretrained(source_of(base))
    packing = quantization(precision)
    model = AutoModelForCausalLM.from_pretrained(
        source_of(base),
        dtype=dtype_of(precision),
        **({} if packing is None else {"quantization_config": packing}),  # a None would hide that a model is packed
        device_map=placement(source_of(base), precision),
    )
    if _held(model, precision) in ("nf4", "int8") and adapter is not None:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return put_adapter(model, config, adapter), tokenizer


def placement(source: str, precision: str, gguf_file: str | None = None) -> str | dict[str, int]:
    """The `device_map` of the model at `source` on this machine; see `device_map`."""
    if not torch.cuda.is_available():
        return "cpu"
    rooms = [torch.cuda.get_device_properties(at).total_memory for at in range(torch.cuda.device_count())]
    weights = weight_bytes(source, precision, gguf_file)
    placed = device_map(os.environ, weights, rooms)
    if placed == "cpu":
        logger.warning(
            "%s: its weights take %.1f GiB in %s, more than the GPU has, so the CPU computes, slowly; nf4 takes a "
            "quarter of bf16",
            source,
            weights / 2**30,
            precision,
        )
    return placed


def device_map(environment: Mapping[str, str], weights: int, rooms: Sequence[int]) -> str | dict[str, int]:
    """Where `weights` bytes go on GPUs of so many bytes each.

    Each of several processes has a GPU of its own. One process takes the first where they fit it, with a fifth to
    spare: "auto" would spread any model over all GPUs, and decoding would wait for each in turn. What does not fit
    all of them together is computed on the CPU: "auto" would fetch it from there layer by layer, and a cache has no
    one place then.
    """
    if int(environment.get("WORLD_SIZE", "1")) > 1:
        return {"": int(environment["LOCAL_RANK"])}
    if weights <= 0.8 * rooms[0]:
        return {"": 0}
    return "auto" if weights <= 0.8 * sum(rooms) else "cpu"


def quantization(precision: str) -> Any:
    """The bitsandbytes config of a precision, or None; NF4 as QLoRA has it (Dettmers et al. 2023, §3)."""
    if precision not in ("nf4", "int8"):
        return None
    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype_of(precision),
    )


def _load_unsloth(
    base: str, precision: str, config: ModelConfig, adapter: AdapterConfig | None, seed: int
) -> tuple["PreTrainedModel | PeftModel", "PreTrainedTokenizerBase"]:
    from unsloth import FastLanguageModel  # before trl and transformers: it patches both

    shape = check_adapter(config.adapter) if config.adapter else {}
    if trained_on := shape.get("base_model_name_or_path"):
        _check_copies(base, trained_on)
    fresh = adapter if isinstance(adapter, LoraConfig) else None  # `check_model_config` has refused any other
    rank = int(shape.get("r") or (fresh.r if fresh else 0))
    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=config.adapter or source_of(base),  # Unsloth reads the base out of an adapter's folder
        max_seq_length=config.max_length,
        dtype=torch.float32 if precision == "fp32" else None,  # None: the 16 bits that the GPU has
        load_in_4bit=precision == "nf4",
        load_in_8bit=precision == "int8",
        fast_inference=config.fast_inference,
        gpu_memory_utilization=config.gpu_memory_utilization,
        **({"max_lora_rank": rank} if rank else {}),
    )
    if fresh is not None and config.adapter is None:
        check_tied(model, fresh.target_modules)
        model = FastLanguageModel.get_peft_model(
            model,
            r=fresh.r,
            lora_alpha=fresh.alpha,
            lora_dropout=fresh.dropout,
            # Unsloth has no "all-linear"
            target_modules=[*LINEAR] if fresh.target_modules == "all-linear" else fresh.target_modules,
            use_rslora=fresh.rslora,
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


def _held(model: CausalLM, precision: str) -> str:
    """How the weights are held: as asked, unless they were packed already where they come from.

    Raises `ModelError` for weights that should be packed and are not: Unsloth goes on in 16 bits then.
    """
    packed = [name for name, bits in (("nf4", 4), ("int8", 8)) if getattr(model, f"is_loaded_in_{bits}bit", False)]
    if precision in ("nf4", "int8") and not packed:
        raise ModelError(
            f"model.precision: {precision} needs bitsandbytes, which does not work here, so the weights are held in 16 "
            "bits; mend it, or take bf16"
        )
    return packed[0] if packed else precision
