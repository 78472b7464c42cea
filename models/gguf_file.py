"""Merged weights → one GGUF file for llama.cpp and Ollama, written tensor by tensor with the `gguf` package.

Llama, Qwen2 and Qwen3 with byte-level BPE vocabularies and plain rotary embeddings, in f16 or q8_0. What llama.cpp
expects of each: https://github.com/ggml-org/llama.cpp/tree/master/conversion.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from configs.errors import ModelError
from models.merge import Merger

ARCHITECTURES = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3"}
TYPES = {"f16": "F16", "q8_0": "Q8_0"}
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {_WORDS + r"\p{N}{1,3}" + _REST: "llama-bpe", _WORDS + r"\p{N}" + _REST: "qwen2"}
"""A pre-tokenizer's regular expression → llama.cpp's name for it."""
OTHER_TOOL = "export merged16 and convert it with llama.cpp's convert_hf_to_gguf.py"


def check(config: Any, tokenizer: Any) -> None:
    """Raise `ModelError` for what this writer does not know, before anything is computed."""
    if config.model_type not in ARCHITECTURES:
        raise ModelError(f"gguf: writes {', '.join(ARCHITECTURES)}, this is {config.model_type}; {OTHER_TOOL}")
    rope = config.rope_parameters or {}
    if rope.get("rope_type", "default") != "default":
        raise ModelError(f"gguf: writes plain rotary embeddings, this has {rope['rope_type']!r}; {OTHER_TOOL}")
    pre_tokenizer(tokenizer)


def pre_tokenizer(tokenizer: Any) -> str:
    """llama.cpp's name for how the tokenizer splits text before BPE. Raises `ModelError` for one that has none here."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    parts: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {"model": {"type": "none"}}
    if parts["model"]["type"] != "BPE":
        raise ModelError(f"gguf: writes byte-level BPE vocabularies, this is {parts['model']['type']}; {OTHER_TOOL}")
    step: dict[str, Any] = parts["pre_tokenizer"] or {}
    steps: list[dict[str, Any]] = step["pretokenizers"] if step.get("type") == "Sequence" else [step]
    kinds = [one.get("type") for one in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and steps[1].get("use_regex", True):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and (name := SPLITS.get(steps[0]["pattern"].get("Regex", ""))):
        return name
    raise ModelError(f"gguf: llama.cpp's name for this tokenizer's splitting {kinds} is not known here; {OTHER_TOOL}")


def write(merger: Merger, tokenizer: Any, template: str, target: Path, kind: str, name: str, notes: str) -> None:
    """Write `target` with the weights as `kind` ("f16" or "q8_0"); norms and biases stay fp32, as llama.cpp has it.

    `template` is the chat template; `notes` goes into the metadata under `mull.think_format`.
    """
    from gguf import GGUFWriter

    config = merger.config
    architecture = config.model_type
    writer = GGUFWriter(target, architecture)
    writer.add_name(name)
    writer.add_string("mull.think_format", notes)
    _add_shape(writer, config, kind)
    _add_vocabulary(writer, tokenizer, config.vocab_size)
    writer.add_chat_template(template)
    places = _places(merger)
    for original, place in places.items():
        shape, stored = merger.shapes[original], _type(merger.shapes[original], kind)
        writer.add_tensor_info(place, *_info(shape, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for data in _data(merger, places, kind):
        writer.write_tensor_data(data)
    writer.close()


def _data(merger: Merger, places: dict[str, str], kind: str) -> Iterator[Any]:
    """The tensors as they are stored, in the order of `places`."""
    from gguf.quants import quantize

    config = merger.config
    for original, tensor in merger.tensors(list(places)):
        values = tensor.float().numpy()
        if config.model_type == "llama" and ".self_attn.q_proj." in original:
            values = _interleaved(values, config.num_attention_heads)
        elif config.model_type == "llama" and ".self_attn.k_proj." in original:
            values = _interleaved(values, config.num_key_value_heads)
        yield quantize(values, _type(values.shape, kind))


def _interleaved(values: Any, heads: int) -> Any:
    """(heads × halves × d, …) → (heads × d × halves, …): llama.cpp rotates neighbouring pairs for this architecture."""
    return (
        values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
    )


def _places(merger: Merger) -> dict[str, str]:
    """Tensor name of Transformers → of GGUF. Raises `ModelError` for a tensor the architecture has no place for."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    names = get_tensor_name_map(MODEL_ARCH[ARCHITECTURES[merger.config.model_type]], merger.config.num_hidden_layers)
    found = {}
    for original in merger.names:
        if original == "lm_head.weight" and merger.config.tie_word_embeddings:
            continue
        place = names.get_name(original, try_suffixes=(".weight", ".bias"))
        if place is None:
            raise ModelError(f"gguf: {merger.config.model_type} has no place for {original}; {OTHER_TOOL}")
        found[original] = place
    return found


def _type(shape: tuple[int, ...], kind: str) -> Any:
    from gguf import GGMLQuantizationType

    if len(shape) < 2:
        return GGMLQuantizationType.F32
    return GGMLQuantizationType[TYPES[kind] if shape[-1] % 32 == 0 else "F16"]  # a block of q8_0 has 32 values


def _info(shape: tuple[int, ...], stored: Any) -> tuple[tuple[int, ...], Any, int]:
    """(shape, NumPy dtype, bytes) as `GGUFWriter.add_tensor_info` wants them: quantised shapes are in bytes."""
    import numpy as np
    from gguf import GGMLQuantizationType, quant_shape_to_byte_shape

    plain: dict[Any, Any] = {
        GGMLQuantizationType.F32: np.dtype(np.float32),
        GGMLQuantizationType.F16: np.dtype(np.float16),
    }
    if stored in plain:
        return shape, plain[stored], int(np.prod(shape)) * plain[stored].itemsize
    stored_shape = quant_shape_to_byte_shape(shape, stored)
    return tuple(stored_shape), np.dtype(np.uint8), int(np.prod(stored_shape))


def _add_shape(writer: Any, config: Any, kind: str) -> None:
    from gguf import LlamaFileType

    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float((config.rope_parameters or {}).get("rope_theta", 10_000.0)))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(LlamaFileType.MOSTLY_F16 if kind == "f16" else LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(2)


def _add_vocabulary(writer: Any, tokenizer: Any, size: int) -> None:
    """Tokens by id (a padded vocabulary's spare ids as unused), their types, the merges and the special ids."""
    from gguf import TokenType

    added = tokenizer.added_tokens_decoder
    by_id = {at: token for token, at in tokenizer.get_vocab().items()}
    tokens, types = [], []
    for at in range(size):
        tokens.append(by_id.get(at, f"[PAD{at}]"))
        if at not in by_id:
            types.append(TokenType.UNUSED)
        elif at in added:
            types.append(TokenType.CONTROL if added[at].special else TokenType.USER_DEFINED)
        else:
            types.append(TokenType.NORMAL)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer(tokenizer))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_add_bos_token(False)  # templates write the BOS themselves where a model wants one
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
