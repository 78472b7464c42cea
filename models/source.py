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
    return str(gguf_cache.converted(Path(base))) if gguf_cache.is_gguf(Path(base)) else base


@lru_cache
def announce_download(base: str) -> None:
    """Say once, in one line, that `base` comes from the hub, where it does and is not in the hub's cache yet."""
    if not HUB_ID.fullmatch(base) or Path(base).exists():
        return
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(base, "config.json"), str):
        print(f"{base}: fetching it from the hub …", file=sys.stderr, flush=True)
