"""Rotary embeddings in a GGUF file: how llama.cpp wants a scaled one, and how a model read from a file gets it back.

Linear and YaRN scaling are metadata; llama3's is a tensor, `rope_freqs.weight`, of what each frequency is divided by.
Transformers (5.17) reads neither out of a file, so `restore` does. What llama.cpp expects:
https://github.com/ggml-org/llama.cpp/tree/master/conversion (base.py and llama.py).
"""

from typing import TYPE_CHECKING, Any

from configs.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader, GGUFWriter
    from transformers import PreTrainedConfig, PreTrainedModel

DIVISORS = "rope_freqs.weight"
SCALINGS = {
    "default": set[str](),
    "linear": {"factor"},
    "yarn": {"factor", "original_max_position_embeddings"},
    "llama3": {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
}
"""What shapes each scaling: all of it and no more, else llama.cpp computes something else."""
USUAL = {"partial_rotary_factor": 1.0, "beta_fast": 32.0, "beta_slow": 1.0}
"""Values that llama.cpp takes without being told; others it was seen to ignore in a file."""
METADATA = {
    "rope_type": "type",
    "factor": "factor",
    "original_max_position_embeddings": "original_context_length",
}
"""A key of Transformers' → of the file's, under `ARCHITECTURE.rope.scaling.`."""


def scaling_of(config: "PreTrainedConfig") -> dict[str, Any]:
    """`rope_type` and the values that shape the scaling."""
    stored = {
        key: value
        for key, value in (config.rope_parameters or {}).items()
        if key not in ("rope_theta", "type") and value is not None and USUAL.get(key) != value
    }
    return {"rope_type": "default"} | stored


def rope_refusal(config: "PreTrainedConfig") -> str:
    """What of the model's rotary embeddings can't be written; empty where all can."""
    scaling = scaling_of(config)
    kind = scaling.pop("rope_type")
    if kind not in SCALINGS:
        return f"writes rotary embeddings scaled as {', '.join(SCALINGS)}, this has {kind!r}"
    if kind == "llama3" and config.model_type != "llama":
        return f"llama.cpp scales rotary embeddings as llama3 for llama alone, this is {config.model_type}"
    if strange := sorted(set(scaling) ^ SCALINGS[kind]):
        wanted = ", ".join(sorted(SCALINGS[kind])) or "nothing"
        return f"writes {kind} rotary embeddings that are shaped by {wanted} alone; this model differs in {strange[0]}"
    return ""


def add_rope(writer: "GGUFWriter", config: "PreTrainedConfig") -> None:
    """The metadata of linear and YaRN scaling."""
    scaling = scaling_of(config)
    if scaling["rope_type"] not in ("linear", "yarn"):
        return
    for key, value in scaling.items():
        name = f"{config.model_type}.rope.scaling.{METADATA[key]}"
        if key == "rope_type":
            writer.add_string(name, value)
        elif key == "original_max_position_embeddings":
            writer.add_uint32(name, int(value))
        else:
            writer.add_float32(name, float(value))


def head_size(config: "PreTrainedConfig") -> int:
    """Values a head has."""
    return getattr(config, "head_dim", None) or int(config.hidden_size // config.num_attention_heads)


def divisors(config: "PreTrainedConfig") -> "np.ndarray | None":
    """llama3's divisors: (head size / 2,) fp32; None for any other scaling.

    1 for wavelengths that fit `high_freq_factor` times into the original context, `factor` for those that don't fit
    `low_freq_factor` times, and between them the reciprocal of what is linear in how often they fit.
    """
    import numpy as np

    scaling = scaling_of(config)
    if scaling["rope_type"] != "llama3":
        return None
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    head = head_size(config)
    frequencies = config.rope_parameters["rope_theta"] ** -(np.arange(0, head, 2) / head)
    fits = scaling["original_max_position_embeddings"] * frequencies / (2 * np.pi)
    kept = np.clip((fits - low) / (high - low), 0, 1)
    found: np.ndarray = (1 / ((1 - kept) / scaling["factor"] + kept)).astype(np.float32)
    return found


def restore_config(config: "PreTrainedConfig", reader: "GGUFReader") -> None:
    """Put the scaling in the file of `reader` (a `GGUFReader`) into `config`, which Transformers read from it.

    Raises `ModelError` for divisors that are not llama3's.
    """
    import numpy as np

    config.rope_parameters = (config.rope_parameters or {}) | stored_scaling(reader)
    for data in (tensor.data for tensor in reader.tensors if tensor.name == DIVISORS):
        config.rope_parameters |= _llama3(config, data)
        found = divisors(config)
        if found is None or found.shape != data.shape or not np.allclose(found, data, rtol=1e-3):
            raise ModelError("its rotary embeddings are scaled in a way that is not known here; name its safetensors")


def stored_scaling(reader: "GGUFReader") -> dict[str, Any]:
    """The linear or YaRN scaling in the file's metadata, in Transformers' words; empty where it has none."""
    prefix = f"{reader.fields['general.architecture'].contents()}.rope.scaling."
    return {
        key: reader.fields[prefix + name].contents() for key, name in METADATA.items() if prefix + name in reader.fields
    }


def _llama3(config: "PreTrainedConfig", data: "np.ndarray") -> dict[str, Any]:
    """llama3's scaling with these divisors, if low and high factor are 1 and 4, as every published model has them."""
    import numpy as np

    head, factor = head_size(config), float(data.max())
    frequencies = config.rope_parameters["rope_theta"] ** -(np.arange(0, head, 2) / head)[: len(data)]
    kept = (1 / data - 1 / factor) / (1 - 1 / factor)
    between = np.flatnonzero((kept > 0.01) & (kept < 0.99))
    at = between[0] if len(between) else np.argmin(kept > 0.5)
    context = round(2 * np.pi * (1 + 3 * float(kept[at])) / float(frequencies[at]))
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": context,
    }


def restore(model: "PreTrainedModel", reader: "GGUFReader") -> None:
    """Scale the rotary embeddings of `model`, read by Transformers from the file of `reader` (a `GGUFReader`)."""
    import torch

    if stored := stored_scaling(reader):
        model.config.rope_parameters |= stored
        model.model.rotary_emb = type(model.model.rotary_emb)(model.config).to(model.device)
    for data in (tensor.data for tensor in reader.tensors if tensor.name == DIVISORS):
        rotary = model.model.rotary_emb
        rotary.inv_freq = rotary.inv_freq / torch.tensor(data, device=rotary.inv_freq.device)
