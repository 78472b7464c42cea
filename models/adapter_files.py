"""Adapters on disk: which folder is one, what its config says, its type, and the rank that vLLM makes room for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.errors import ModelError, first_line
from models.source import HUB_ID

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear maps of a decoder layer: what `all-linear` means of Llama's and Qwen's kind."""
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""LoRA ranks that vLLM 0.30 has room for (`vllm.config.lora.MaxLoRARanks`)."""

TYPES = {"PREFIX_TUNING": "prefix", "PROMPT_TUNING": "prompt"}
"""PEFT's types whose name here is another."""


def type_of(shape: Mapping[str, Any]) -> str:
    """The `adapter.type` that an adapter's own config means; PEFT's name for it where no type of ours is meant."""
    if shape.get("use_dora"):
        return "dora"
    if shape.get("prefix_projection"):
        return "p_tuning_v2"
    name: str = shape.get("peft_type") or "LORA"
    return TYPES.get(name, name.lower())


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
    """Whether an adapter with its weights is there."""
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


def rank_slot(rank: int, adapter: str) -> int:
    """The smallest LoRA rank that vLLM has room for and `rank` fits in. Raises `ModelError` where none does."""
    slot = next((slot for slot in LORA_RANKS if slot >= rank), None)
    if slot is None:
        raise ModelError(
            f"{adapter}: rank {rank} is above the {LORA_RANKS[-1]} that vLLM has room for; serve its merged16 export"
        )
    return slot
