"""Where a model's weights lie: the embedded model, a folder, a GGUF file, or a hub id, all by one `model.name`."""

import re
import sys
from functools import lru_cache
from pathlib import Path

from configs.schema.sections import ModelConfig
from models import embedded, gguf_cache

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def base_of(config: ModelConfig) -> str:
    """The model that `config.name` means: the embedded model's folder, else the name itself; see `source_of`."""
    return str(embedded.embedded_model_folder()) if config.name == embedded.NAME else config.name


def source_of(base: str) -> str:
    """Where `from_pretrained` and vLLM find `base`: a GGUF file's weights lie in the user's cache."""
    path = Path(base)
    if path.suffix == ".gguf":
        return str(gguf_cache.converted(path))
    if HUB_ID.fullmatch(base) and not path.exists():
        _announce_download(base)
    return base


@lru_cache
def _announce_download(name: str) -> None:
    """One line, once, where a model comes from the hub and is not in its cache."""
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(name, "config.json"), str):
        print(f"{name}: fetching it from the hub …", file=sys.stderr, flush=True)
