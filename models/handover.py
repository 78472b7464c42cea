"""A LoRA in training → a folder that vLLM loads, in memory (tmpfs) where the machine has it, new when it has changed.

Each folder has a new name, because vLLM's prefix cache is keyed by the adapter's name: an old name would answer from
the old adapter's keys and values.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from configs.errors import EngineError

MEMORY = Path("/dev/shm")


class Handover:
    """Folders with one model's adapter; the one before the last goes when a new one is written."""

    def __init__(self) -> None:
        self._root = tempfile.TemporaryDirectory(prefix="mull-adapter-", dir=MEMORY if MEMORY.is_dir() else None)
        self._trained: list[Any] = []
        self._state: dict[str, Any] = {}
        self._written: tuple[int, ...] = ()
        self._folders: list[Path] = []
        self._count = 0

    def folder_of(self, model: Any) -> str:
        """A folder with `model`'s adapter as it is now. Raises `EngineError` if it trains none."""
        from safetensors.torch import save_file

        config = _lora(model)
        if not self._trained:
            self._look(model)
        versions = tuple(weight._version for weight in self._trained)  # every in-place change counts it up
        if versions == self._written:
            return str(self._folders[-1])
        while len(self._folders) > 1:
            shutil.rmtree(self._folders.pop(0))
        self._count += 1
        folder = Path(self._root.name) / f"step-{self._count}"
        folder.mkdir()
        config.save_pretrained(str(folder))
        # in the model's own precision, which vLLM would round it to
        state = {name: value.detach().to(model.config.dtype).contiguous() for name, value in self._state.items()}
        save_file(state, str(folder / "adapter_model.safetensors"))
        self._folders.append(folder)
        self._written = versions
        return str(folder)

    def _look(self, model: Any) -> None:
        """Remember the adapter's tensors: they change in place, and to find them takes longer than to write them."""
        from peft import get_peft_model_state_dict

        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        places = {parameter.data_ptr(): parameter for parameter in self._trained}
        self._state = {n: places.get(v.data_ptr(), v) for n, v in get_peft_model_state_dict(model).items()}

    def close(self) -> None:
        """Remove every folder."""
        self._root.cleanup()


def rank_of(model: Any) -> int:
    """The rank of the LoRA that `model` trains. Raises `EngineError` if it trains none."""
    return int(_lora(model).r)


def _lora(model: Any) -> Any:
    found = getattr(model, "peft_config", {}).get("default")
    if found is None:
        raise EngineError(
            "rollout.engine: vllm gets the policy as a LoRA adapter, and this run trains none; name an `adapter:` or "
            "leave the engine at auto"
        )
    return found
