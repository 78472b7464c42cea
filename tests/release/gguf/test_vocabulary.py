"""SentencePiece vocabularies in a GGUF: llama.cpp's own splitting, from what the file holds, against Transformers'."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ModelError
from data.chat_template import PROBES, render_template
from release.gguf.vocabulary import add_vocabulary, check_vocabulary, pre_tokenizer
from tests.tiny import CHATML

TEXT = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
SIZE = 700


def llama_tokenizer(**options: Any) -> Any:
    """A small one of Llama 2's kind, on our own prose."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaTokenizer

    raw = Tokenizer(models.BPE(byte_fallback=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    symbols = [*SPECIAL[:3], *(f"<0x{byte:02X}>" for byte in range(256))]
    raw.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=600, special_tokens=symbols, show_progress=False))
    parts = json.loads(raw.to_str())["model"]
    tokenizer = LlamaTokenizer(vocab=parts["vocab"], merges=[tuple(pair) for pair in parts["merges"]], **options)
    tokenizer.add_tokens(SPECIAL[3:], special_tokens=True)
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<unk>"
    return tokenizer


def written(tokenizer: Any, path: Path) -> dict[str, Any]:
    from gguf import GGUFReader, GGUFWriter

    writer = GGUFWriter(path, "llama")
    add_vocabulary(writer, tokenizer, SIZE, [tokenizer.eos_token_id, 2])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return {name: field.contents() for name, field in GGUFReader(path).fields.items()}


def split(text: str, fields: dict[str, Any]) -> list[int]:
    """llama.cpp's SentencePiece splitting (src/llama-vocab.cpp): the best-scored pair merges, leftmost of equals."""
    ids = {token: at for at, token in enumerate(fields["tokenizer.ggml.tokens"])}
    scores = fields["tokenizer.ggml.scores"]
    assert not fields["tokenizer.ggml.add_space_prefix"]
    parts = list(text.replace(" ", "▁"))
    while pairs := [(-scores[ids[a + b]], at) for at, (a, b) in enumerate(pairwise(parts)) if a + b in ids]:
        at = min(pairs)[1]
        parts[at : at + 2] = ["".join(parts[at : at + 2])]
    return [
        at for part in parts for at in ([ids[part]] if part in ids else [ids[f"<0x{b:02X}>"] for b in part.encode()])
    ]


def test_llama_cpp_splits_like_transformers(tmp_path: Path) -> None:
    tokenizer = llama_tokenizer()
    check_vocabulary(tokenizer, CHATML, [2])
    fields = written(tokenizer, tmp_path / "vocabulary.gguf")
    assert fields["tokenizer.ggml.model"] == "llama"
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    for text in (*(TEXT[at : at + 200] for at in range(0, 2000, 200)), "  naïve ☃\n\n\t12 345 "):
        wanted = tokenizer("<|im_start|>" + text, add_special_tokens=False)["input_ids"]
        assert [start, *split(text, fields)] == wanted


def test_token_types_mark_bytes_and_specials(tmp_path: Path) -> None:
    tokenizer = llama_tokenizer()
    fields = written(tokenizer, tmp_path / "vocabulary.gguf")
    types = dict(zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"], strict=True))
    assert [types[token] for token in SPECIAL] == [2, 3, 3, 3, 3]  # unknown, control
    assert (types["<0x0A>"], types["▁the"], types[f"[PAD{SIZE - 1}]"]) == (6, 1, 5)  # byte, normal, unused


def test_every_end_of_turn_is_written(tmp_path: Path) -> None:
    tokenizer = llama_tokenizer()
    fields = written(tokenizer, tmp_path / "vocabulary.gguf")
    assert fields["tokenizer.ggml.eos_token_id"] == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert fields["tokenizer.ggml.eot_token_id"] == tokenizer.convert_tokens_to_ids("</s>")
    assert "tokenizer.ggml.eom_token_id" not in fields
    with pytest.raises(ModelError, match="has a place for 3 ends of a turn, this model has 4"):
        check_vocabulary(tokenizer, CHATML, [1, 2, 3, 4])


def test_differently_split_prompt_is_refused() -> None:
    tokenizer = llama_tokenizer()
    plain = CHATML.replace("<|im_start|>", "### ")
    assert render_template(tokenizer, plain, *PROBES[0]).startswith("### user")
    with pytest.raises(
        ModelError, match="only where it starts with a special token, and this template's starts with '### "
    ):
        check_vocabulary(tokenizer, plain, [2])
    with pytest.raises(ModelError, match="puts spaces into SentencePiece's text in another way"):
        check_vocabulary(llama_tokenizer(legacy=True), CHATML, [2])


def test_embedded_vocabulary_is_byte_level(tokenizer: Any) -> None:
    check_vocabulary(tokenizer, CHATML, (tokenizer.eos_token_id,))
    assert pre_tokenizer(tokenizer) == "gpt-2"
