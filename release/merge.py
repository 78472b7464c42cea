"""Base weights + adapter → merged weights, one tensor at a time: PEFT's own merge, on pristine weights, in fp32.

The model stands on the meta device, so that only the adapter and the tensor at hand take memory.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from peft import PeftConfig, PeftModel, get_peft_model
from peft.tuners.adalora import AdaLoraLayer
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Module
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from configs.errors import ModelError, first_line
from models.source import source_of
from training.finished_run import TrainedRun

PREFIX = "base_model.model."
"""What PEFT puts before the name of a module."""
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.json", "LICENSE*", "README.md")


def base_folder(run: TrainedRun) -> Path:
    """The folder of the untouched base weights, fetched from the hub where they come from there.

    Raises `ModelError` for weights that can't be merged into: none, quantised ones.
    """
    name = run.config.model.name
    folder = Path(source_of(run.base) if run.adapter is not None else run.product)
    if not folder.is_dir():
        try:
            folder = Path(snapshot_download(run.base, allow_patterns=list(WEIGHTS)))
        except (OSError, ValueError) as error:
            raise ModelError(f"model.name: {name} can't be fetched: {first_line(error)}") from error
    if not list(folder.glob("*.safetensors")):
        raise ModelError(f"model.name: {name} holds no safetensors; save it with save_pretrained and name that folder")
    if "quantization_config" in json.loads((folder / "config.json").read_text(encoding="utf-8")):
        raise ModelError(
            f"model.name: {name} is quantised itself; export `adapter` alone, or correct it to its 16-bit original"
        )
    return folder


class Merger:
    """The run's model on the meta device with its adapter; `tensors` gives merged weights by name.

    Raises `ModelError` where the adapter does not fit the base, or trains what can't be merged.
    """

    def __init__(self, run: TrainedRun) -> None:
        self.folder = base_folder(run)
        self.config = AutoConfig.from_pretrained(self.folder)
        self.files = _files(self.folder)
        with torch.device("meta"):
            self.model = AutoModelForCausalLM.from_config(self.config)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self.model.state_dict().items()}
        tied = set(getattr(self.model, "all_tied_weights_keys", None) or ())
        self.names = [name for name in self.files if name in self.shapes]
        lost = [name for name in self.shapes if name not in self.files and name not in tied]
        if lost:
            raise ModelError(f"{self.folder}: lacks {lost[0]} (and {len(lost) - 1} more); the base is not whole")
        self.layers = {} if run.adapter is None else _lora_layers(self.model, run.adapter)
        missing = sorted(name for name in self.layers if name not in self.names)
        if missing:
            raise ModelError(f"{run.adapter}: trains {missing[0]}, which is tied in the base; export `adapter` alone")

    def tensors(self, names: list[str]) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) for each of `names`: fp32 where merged, as stored elsewhere."""
        for name in names:
            with safe_open(self.files[name], framework="pt") as file:  # reopened, so that its pages don't add up
                tensor = file.get_tensor(name)
                yield name, _merge(self.layers[name], tensor) if name in self.layers else tensor


def _files(folder: Path) -> dict[str, Path]:
    """Tensor name → the file it is in, in stored order."""
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            files |= dict.fromkeys(file.keys(), path)
    return files


def _lora_layers(model: PreTrainedModel, adapter: Path) -> dict[str, LoraLayer]:
    """Weight name → the LoRA, DoRA or AdaLoRA layer over it; the adapter's weights are real, the base's are not."""
    config = PeftConfig.from_pretrained(str(adapter))
    if config.bias != "none" or config.modules_to_save:
        raise ModelError(f"{adapter}: trains more than low-rank updates, which is not merged; export `adapter` alone")
    try:
        wrapped = get_peft_model(model, config)
        stored = load_file(adapter / "adapter_model.safetensors")
        layers = {n: layer for n, layer in wrapped.named_modules() if isinstance(layer, LoraLayer)}
        _take_weights(wrapped, layers, stored)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{adapter}: does not fit the base model: {_first_lines(error)}") from error
    return {f"{name.removeprefix(PREFIX)}.weight": layer for name, layer in layers.items()}


def _take_weights(wrapped: PeftModel, layers: dict[str, LoraLayer], stored: dict[str, Tensor]) -> None:
    """Put `stored` into the layers. Raises `ValueError`, `RuntimeError` or `KeyError` where it does not fit."""
    # PEFT saves DoRA's magnitudes as a tensor, and has them as a module's weight
    names = {
        name.replace(".default", "").replace("_vector.weight", "_vector"): name
        for name in wrapped.state_dict()
        if "lora_" in name
    }
    strange = set(stored) ^ set(names)
    if strange:
        raise ValueError(f"{sorted(strange)[0]} is in one of them alone")
    # PEFT's own loading moves an adapter to its base's device, and the meta device forgets the values
    state = {names[name]: tensor.float() for name, tensor in stored.items()}
    for name, layer in layers.items():
        if isinstance(layer, AdaLoraLayer):  # of fewer ranks than it started with, by whose number it is still divided
            for part in ("lora_A", "lora_B", "lora_E"):
                getattr(layer, part)["default"] = torch.nn.Parameter(state.pop(f"{name}.{part}.default"))
            layer.ranknum["default"] = torch.nn.Parameter(torch.tensor([float(layer.r["default"])]))
    wrapped.load_state_dict(state, strict=False, assign=True)


def _merge(layer: LoraLayer, weight: Tensor) -> Tensor:
    """`weight` (out, in) in fp32 with the layer's update."""
    base = layer.get_base_layer()
    with _weight(base, torch.nn.Parameter(weight.to(torch.float32, copy=True), requires_grad=False)), torch.no_grad():
        layer.merge(safe_merge=True)  # refuses weights that are not finite
        layer.merged_adapters.clear()
        return base.weight.data


@contextmanager
def _weight(module: Module, weight: Tensor) -> Iterator[None]:
    """`module` has `weight` inside, and its own outside."""
    before, module.weight = module.weight, weight
    try:
        yield
    finally:
        module.weight = before


def _first_lines(error: Exception) -> str:
    """A size mismatch says what on its second line."""
    return " ".join(" ".join(str(error).split()).split(" ")[:40])
