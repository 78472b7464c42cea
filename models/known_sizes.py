"""The sizes of models by name, without a network and without torch: a table, or a folder's `config.json`."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from configs.errors import ConfigError
from models import embedded
from models.weights import Weights

FIELDS = (
    "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size",
    "tie_word_embeddings", "model_type",
)  # fmt: skip
_QWEN = {
    "qwen2.5-0.5b": (24, 896, 14, 2, 4864, 151_936, True, "qwen2"),
    "qwen2.5-1.5b": (28, 1536, 12, 2, 8960, 151_936, True, "qwen2"),
    "qwen2.5-3b": (36, 2048, 16, 2, 11_008, 151_936, True, "qwen2"),
    "qwen2.5-7b": (28, 3584, 28, 4, 18_944, 152_064, False, "qwen2"),
    "qwen2.5-14b": (48, 5120, 40, 8, 13_824, 152_064, False, "qwen2"),
    "qwen2.5-32b": (64, 5120, 40, 8, 27_648, 152_064, False, "qwen2"),
}
"""`FIELDS` of the `config.json` of Qwen/Qwen2.5-…; Instruct, Coder and Math models of a size have the same."""
KNOWN = _QWEN | {embedded.NAME: (30, 576, 9, 3, 1536, 49_152, True, "llama")}
HAVE_BIASES = {"qwen2"}
"""Model types whose query, key and value maps have biases."""


def sizes_of(name: str) -> Any:
    """The sizes of `model.name`, as attributes with Transformers' names. Raises `ConfigError` for an unknown one."""
    file = Path(name) / "config.json"
    if file.is_file():
        values = json.loads(file.read_text(encoding="utf-8"))
        values = values.get("text_config") or values
        if missing := [field for field in ("num_hidden_layers", "hidden_size", "vocab_size") if field not in values]:
            raise ConfigError(f"{file}: no {missing[0]}, so the model's size is not known")
        return SimpleNamespace(**{"num_key_value_heads": None, "intermediate_size": None} | values)
    size = re.sub(r"-(coder|math)", "", name.rpartition("/")[2].casefold())
    size = size.removesuffix("-instruct")
    if size not in KNOWN:
        raise ConfigError(
            f"model.name: the sizes of {name} are not known here; name a folder that holds its config.json, or one of "
            f"{', '.join(KNOWN)}"
        )
    return SimpleNamespace(**dict(zip(FIELDS, KNOWN[size], strict=True)))


def count(sizes: Any) -> Weights:
    """How many weights a decoder of these sizes has: gated MLPs, grouped queries, two norms a layer."""
    h, mlp = sizes.hidden_size, sizes.intermediate_size or 4 * sizes.hidden_size
    width = getattr(sizes, "head_dim", None) or h // sizes.num_attention_heads
    query = sizes.num_attention_heads * width
    key = (sizes.num_key_value_heads or sizes.num_attention_heads) * width
    biases = query + 2 * key if getattr(sizes, "model_type", "") in HAVE_BIASES else 0
    layer = 2 * h * query + 2 * h * key + 3 * h * mlp + 2 * h + biases
    ends = 1 if getattr(sizes, "tie_word_embeddings", False) else 2
    return Weights(ends * sizes.vocab_size * h, sizes.num_hidden_layers * layer + h)
