"""A GGUF file → a folder of safetensors in the user's cache, by the file's content: everything loads that folder.

Transformers dequantises a file anew at every load, and reads its metadata four times over: minutes for a model that
loads in a second. It also leaves out what `finish_config` puts back.
"""

import hashlib
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import ModelError, first_line
from configs.run_directory import sha256_of
from models import gguf_rope

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderField
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

VERSION = "1"
"""Part of the folder's name: raise it when the conversion changes."""
MAGIC = b"GGUF"
"""The first bytes of every GGUF file."""
ENDS = ("eos", "eot", "eom")
"""The ends of a turn that a file has a place for; llama.cpp stops at each."""

Finish = Callable[["PreTrainedConfig", "PreTrainedTokenizerBase"], None]


def is_gguf(path: Path) -> bool:
    """Whether it is a GGUF file, by its first bytes: Ollama's are called by their hash."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def cache_root() -> Path:
    """Where converted models live: `MULL_CACHE`, else `~/.cache/mull`."""
    return Path(os.environ.get("MULL_CACHE") or Path.home() / ".cache" / "mull")


def converted(gguf: Path) -> Path:
    """The folder with the weights of `gguf` in 16 bits, its tokenizer and its ends of a turn; converted if it is new.

    Raises `ModelError` for a file that can't be read.
    """
    folder = folder_of(gguf)
    if not (folder / "config.json").is_file():
        from gguf import GGUFReader

        print(f"{gguf}: converting it once to {folder} …", file=sys.stderr, flush=True)
        try:
            reader = GGUFReader(gguf)
            convert(gguf, folder, _tokenizer(gguf, reader), partial(finish_config, reader=reader))
        except (OSError, ValueError, LookupError, NotImplementedError, struct.error) as error:
            raise ModelError(f"model.name: {gguf} can't be read: {first_line(error)}") from error
    return folder


def folder_of(gguf: Path) -> Path:
    """Where the conversion of `gguf` is, or will be."""
    return cache_root() / f"gguf-{_digest(gguf)}-v{VERSION}"


def _digest(gguf: Path) -> str:
    """Of the file, and of the tokenizer beside it, which is taken where it fits."""
    digest = hashlib.sha256()
    for path in filter(None, (gguf, _beside(gguf))):
        digest.update(bytes.fromhex(_content(path, path.stat().st_size, path.stat().st_mtime_ns)))
    return digest.hexdigest()[:16]


@lru_cache
def _content(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file of `size` bytes, `changed` at that time: a process asks for it several times over."""
    return sha256_of(path)


def _beside(gguf: Path) -> Path | None:
    tokenizer = gguf.parent / "tokenizer.json"
    return tokenizer if tokenizer.is_file() else None


def convert(gguf: Path, folder: Path, tokenizer: "PreTrainedTokenizerBase", finish: Finish) -> None:
    """Write `gguf` into `folder` as plain safetensors; whole or not at all, also when two processes try at once.

    `finish` changes config and tokenizer before they are written.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    folder.parent.mkdir(parents=True, exist_ok=True)
    loaded = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.bfloat16)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    finish(config, tokenizer)
    with torch.device("meta"):  # a model loaded from GGUF refuses save_pretrained
        plain = type(loaded)(config)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    ids = {name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    plain.generation_config = GenerationConfig(**ids)

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


def _tokenizer(gguf: Path, reader: "GGUFReader") -> "PreTrainedTokenizerBase":
    """The one beside the file where it has the file's vocabulary: out of a file Transformers rebuilds the splitting."""
    from transformers import AutoTokenizer

    if _beside(gguf):
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent))
        if has_vocabulary(tokenizer, reader.fields):
            if "tokenizer.chat_template" in reader.fields:
                tokenizer.chat_template = reader.fields["tokenizer.chat_template"].contents()
            return tokenizer
    return tokenizer_in(gguf)


def tokenizer_in(gguf: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer that Transformers makes of the file itself."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)


def has_vocabulary(tokenizer: "PreTrainedTokenizerBase", fields: Mapping[str, "ReaderField"]) -> bool:
    """Whether each of the tokenizer's tokens has its id in a file's metadata too."""
    stored = dict(enumerate(fields["tokenizer.ggml.tokens"].contents()))
    return all(stored.get(at) == token for token, at in tokenizer.get_vocab().items())


def finish_config(config: "PreTrainedConfig", tokenizer: "PreTrainedTokenizerBase", reader: "GGUFReader") -> None:
    """What Transformers leaves out of the file: every end of a turn, and the scaling of the rotary embeddings."""
    ends = ends_of(reader.fields)
    if ends:
        config.eos_token_id = ends if len(ends) > 1 else ends[0]
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])
    gguf_rope.restore_config(config, reader)


def ends_of(fields: Mapping[str, "ReaderField"]) -> list[int]:
    """The ids that end a turn, of a file's metadata."""
    names = [f"tokenizer.ggml.{name}_token_id" for name in ENDS]
    return [int(fields[name].contents()) for name in names if name in fields]
