"""A LoRA in training → a folder that vLLM loads, in memory (tmpfs) where the machine has it, new when it has changed.

A folder is there whole or not at all: it is written under another name and renamed. For servers elsewhere it lies in a
folder that they see too.

Each folder has a new name, because vLLM's prefix cache is keyed by the adapter's name: an old name would answer from
the old adapter's keys and values.
"""

import shutil
import tempfile
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import TensorSpec, serialize_file

from configs.errors import EngineError
from models.adapter_files import is_adapter, type_of
from models.adapter_types import check_vllm_adapter
from models.protocols import CausalLM

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import Tensor

MEMORY = Path("/dev/shm")


class Handover:
    """Folders with one model's adapter; the one before the last goes when a new one is written."""

    def __init__(self, shared: Path | None = None) -> None:
        """`shared`: where servers look for adapters; None: this process and its children alone read them."""
        self._mode = 0o700 if shared is None else 0o755  # a server may be another user's
        where = shared or (MEMORY if MEMORY.is_dir() else None)
        self._root = tempfile.TemporaryDirectory(prefix="mull-adapter-", dir=where)
        Path(self._root.name).chmod(self._mode)
        self._trained: Tensor | None = None  # the first of the tensors: sharing weights out puts others in their place
        self._state: list[Tensor] = []
        self._scales: list[float] = []
        self._written: Tensor
        self._file: Tensor
        self._specs: dict[str, TensorSpec] = {}
        self._folders: list[Path] = []
        self._count = 0

    def folder_of(self, model: CausalLM) -> str:
        """A folder with `model`'s adapter as it is now. Raises `EngineError` if it trains none."""
        config = _lora(model)
        trained = next(weight for weight in model.parameters() if weight.requires_grad)
        if trained is not self._trained:
            self._trained = trained
            self._look(model)
        weights = self._weights()
        # by value: fused and 8-bit optimizers change weights without counting up their `_version`
        if self._folders and is_adapter(self._folders[-1]) and torch.equal(weights, self._written):
            return str(self._folders[-1])
        while len(self._folders) > 1:
            shutil.rmtree(self._folders.pop(0), ignore_errors=True)
        folder = self._new_folder()
        self._folders.append(folder)
        partial = folder.with_name(f"{folder.name}.partial")
        partial.mkdir()
        _unscaled(config).save_pretrained(str(partial))
        self._file.copy_(weights)
        self._written = weights
        serialize_file(self._specs, str(partial / "adapter_model.safetensors"))
        partial.rename(folder)
        return str(folder)

    def copy_of(self, adapter: Path) -> str:
        """A folder with a copy of the adapter in the folder `adapter`; it stays until `close`."""
        folder = self._new_folder()
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.copytree(adapter, partial)
        partial.rename(folder)
        return str(folder)

    def _new_folder(self) -> Path:
        self._count += 1
        folder = Path(self._root.name) / f"step-{self._count}"
        folder.parent.mkdir(mode=self._mode, exist_ok=True)  # what cleans up temporary files may have taken it
        return folder

    def _weights(self) -> "Tensor":
        """All weights as a folder holds them, one after another on one device: compared and copied with one wait."""
        device, dtype = self._state[0].device, self._file.dtype
        scaled = (_scaled(weight, scale) for weight, scale in zip(self._state, self._scales, strict=True))
        return torch.cat([weight.to(device, dtype).flatten() for weight in scaled])

    def _look(self, model: CausalLM) -> None:
        """Remember the adapter's tensors, which change in place, and lay out the file: both take longer than to write.

        The file is in the model's own precision, which vLLM would round them to, and B is scaled already: vLLM would
        do that at each swap, and knows one scale for all layers.
        """
        state = get_peft_model_state_dict(model, state_dict=dict(model.named_parameters()))
        dtype = model.config.dtype
        self._state = list(state.values())
        scales = _scales(model)
        self._scales = [scales.get(id(value), 1.0) for value in self._state]
        self._file = torch.empty(sum(value.numel() for value in self._state), dtype=dtype)
        parts = self._file.split([value.numel() for value in self._state])
        self._specs = {
            name: TensorSpec(
                dtype=str(dtype).removeprefix("torch."),
                shape=list(value.shape),
                data_ptr=part.data_ptr(),
                data_len=part.nbytes,
            )
            for (name, value), part in zip(state.items(), parts, strict=True)
        }

    def close(self) -> None:
        """Remove every folder."""
        self._root.cleanup()


def _scaled(weight: "Tensor", scale: float) -> "Tensor":
    return weight.detach() if scale == 1 else weight.detach() * scale


def _scales(model: CausalLM) -> dict[int, float]:
    """Each B's scale, by the tensor's `id`."""
    return {
        id(getattr(part["default"], "weight", part["default"])): layer.scaling["default"]
        for layer in model.modules()
        if isinstance(layer, LoraLayer)
        for part in (layer.lora_B, layer.lora_embedding_B)
        if "default" in part
    }


def _unscaled(config: "LoraConfig") -> "LoraConfig":
    """`config` with a scale of 1."""
    plain = copy(config)
    plain.lora_alpha, plain.use_rslora, plain.alpha_pattern = plain.r, False, {}
    return plain


def rank_of(model: CausalLM) -> int:
    """The rank of the LoRA that `model` trains. Raises `EngineError` if it trains none."""
    return int(_lora(model).r)


def _lora(model: CausalLM) -> "LoraConfig":
    lora: LoraConfig | None = getattr(model, "peft_config", {}).get("default")
    if lora is None:
        raise EngineError(
            "rollout.engine: vllm gets the policy as a LoRA adapter, and this run trains none; name an `adapter:` or "
            "leave the engine at auto"
        )
    check_vllm_adapter(type_of(vars(lora)), "rollout.engine", "set rollout.engine=transformers")
    return lora
