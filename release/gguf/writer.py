"""Merged weights → one GGUF file for llama.cpp and Ollama, written tensor by tensor with the `gguf` package.

Llama, Qwen2 and Qwen3, in f16 or q8_0. What llama.cpp expects of each:
https://github.com/ggml-org/llama.cpp/tree/master/conversion.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from gguf import (
    MODEL_ARCH,
    GGMLQuantizationType,
    GGUFWriter,
    LlamaFileType,
    get_tensor_name_map,
    quant_shape_to_byte_shape,
)
from gguf.quants import quantize

from configs.errors import ModelError
from models import gguf_rope
from models.engines.generation import end_of_turn
from release.gguf import vocabulary
from release.gguf.vocabulary import OTHER_TOOL
from release.merge import Merger

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

ARCHITECTURES = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3"}
ROWS = 4096
TYPES = {"f16": "F16", "q8_0": "Q8_0"}


def check_gguf(config: "PreTrainedConfig", tokenizer: "PreTrainedTokenizerBase", template: str) -> None:
    """Raise `ModelError` for what this writer does not know, before anything is computed."""
    if config.model_type not in ARCHITECTURES:
        raise ModelError(f"gguf: writes {', '.join(ARCHITECTURES)}, this is {config.model_type}; {OTHER_TOOL}")
    if refusal := gguf_rope.rope_refusal(config):
        raise ModelError(f"gguf: {refusal}; {OTHER_TOOL}")
    vocabulary.check_vocabulary(tokenizer, template, end_of_turn(tokenizer, config))


def write_gguf(
    merger: Merger, tokenizer: "PreTrainedTokenizerBase", template: str, target: Path, kind: str, name: str, notes: str
) -> None:
    """Write `target` with the weights as `kind` ("f16" or "q8_0"); norms and biases stay fp32, as llama.cpp has it.

    `template` is the chat template; `notes` goes into the metadata under `mull.think_format`.
    """
    config = merger.config
    architecture = config.model_type
    writer = GGUFWriter(target, architecture)
    writer.add_name(name)
    writer.add_string("mull.think_format", notes)
    _add_shape(writer, config, kind)
    vocabulary.add_vocabulary(writer, tokenizer, config.vocab_size, end_of_turn(tokenizer, config))
    writer.add_chat_template(template)
    divisors = gguf_rope.divisors(config)
    if divisors is not None:
        writer.add_tensor_info(gguf_rope.DIVISORS, divisors.shape, divisors.dtype, divisors.nbytes)
    places = _places(merger)
    for original, place in places.items():
        shape, stored = merger.shapes[original], _type(merger.shapes[original], kind)
        writer.add_tensor_info(place, *_info(shape, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if divisors is not None:
        writer.write_tensor_data(divisors)
    for data in _data(merger, places, kind):
        writer.write_tensor_data(data)
    writer.close()


def _data(merger: Merger, places: dict[str, str], kind: str) -> Iterator[np.ndarray]:
    """The tensors as they are stored, in the order of `places`."""
    config = merger.config
    for original, tensor in merger.tensors(list(places)):
        if config.model_type == "llama" and ".self_attn.q_proj." in original:
            tensor = _interleaved(tensor, config.num_attention_heads)
        elif config.model_type == "llama" and ".self_attn.k_proj." in original:
            tensor = _interleaved(tensor, config.num_key_value_heads)
        yield _stored(tensor, _type(tuple(tensor.shape), kind))


def _stored(tensor: "Tensor", kind: GGMLQuantizationType) -> np.ndarray:
    """`tensor` as an array of `kind`; some rows at a time, because in fp32 an embedding is twice the file's part."""
    return np.concatenate([quantize(rows.float().numpy(), kind) for rows in tensor.split(ROWS)])


def _interleaved(tensor: "Tensor", heads: int) -> "Tensor":
    """(heads × halves × d, …) → (heads × d × halves, …): llama.cpp rotates neighbouring pairs for this architecture."""
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)


def _places(merger: Merger) -> dict[str, str]:
    """Tensor name of Transformers → of GGUF. Raises `ModelError` for a tensor the architecture has no place for."""
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


def _type(shape: tuple[int, ...], kind: str) -> GGMLQuantizationType:
    if len(shape) < 2:
        return GGMLQuantizationType.F32
    return GGMLQuantizationType[TYPES[kind] if shape[-1] % 32 == 0 else "F16"]  # a block of q8_0 has 32 values


def _info(shape: tuple[int, ...], stored: GGMLQuantizationType) -> tuple[tuple[int, ...], np.dtype, int]:
    """(shape, NumPy dtype, bytes) as `GGUFWriter.add_tensor_info` wants them: quantised shapes are in bytes."""
    plain: dict[GGMLQuantizationType, np.dtype] = {
        GGMLQuantizationType.F32: np.dtype(np.float32),
        GGMLQuantizationType.F16: np.dtype(np.float16),
    }
    if stored in plain:
        return shape, plain[stored], int(np.prod(shape)) * plain[stored].itemsize
    stored_shape = quant_shape_to_byte_shape(shape, stored)
    return tuple(stored_shape), np.dtype(np.uint8), int(np.prod(stored_shape))


def _add_shape(writer: GGUFWriter, config: "PreTrainedConfig", kind: str) -> None:
    head = gguf_rope.head_size(config)
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
    gguf_rope.add_rope(writer, config)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(LlamaFileType.MOSTLY_F16 if kind == "f16" else LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(2)
