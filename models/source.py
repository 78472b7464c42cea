"""Where a model's weights lie: the embedded model, a folder, a GGUF file, or a hub id, all by one `model.name`."""

import re
from pathlib import Path

from configs.schema.sections import ModelConfig
from models import embedded

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def base_of(config: ModelConfig) -> str:
    """What `from_pretrained` gets: the embedded model's folder, else the name itself."""
    return str(embedded.embedded_model_folder()) if config.name == embedded.NAME else config.name


def source_kwargs(base: str) -> dict[str, str]:
    """How `from_pretrained` finds `base`: a GGUF file is named apart from its folder."""
    path = Path(base)
    if path.suffix == ".gguf":
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    return {"pretrained_model_name_or_path": base}
