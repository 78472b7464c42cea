"""A tokenizer in a GGUF file: byte-level BPE, and SentencePiece's BPE where llama.cpp splits prompts the same way."""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gguf import TokenType

from configs.errors import ModelError
from data.chat_template import PROBES, render_template
from models.gguf_cache import ENDS

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedTokenizerBase

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {_WORDS + r"\p{N}{1,3}" + _REST: "llama-bpe", _WORDS + r"\p{N}" + _REST: "qwen2"}
"""A pre-tokenizer's regular expression → llama.cpp's name for it."""
OTHER_TOOL = "export merged16 and convert it with llama.cpp's convert_hf_to_gguf.py"
BYTE = re.compile("<0x[0-9A-F]{2}>")
UNMERGED = -1e6  # the score of a piece that no merge makes: below every one that a merge makes


def check_vocabulary(tokenizer: "PreTrainedTokenizerBase", template: str, ends: Sequence[int]) -> None:
    """Raise `ModelError` where llama.cpp would split text, or the prompts of `template`, in another way.

    `ends` are the ids that end a turn.
    """
    if len(ends) > len(ENDS):
        raise ModelError(f"gguf: has a place for {len(ENDS)} ends of a turn, this model has {len(ends)}; {OTHER_TOOL}")
    if is_sentencepiece(tokenizer):
        _check_spaces(tokenizer, template)
    else:
        pre_tokenizer(tokenizer)


def _parts(tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return dict(json.loads(backend.to_str())) if backend is not None else {"model": {"type": "none"}}


def is_sentencepiece(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether it is SentencePiece's BPE (Llama 2): "▁" for a space, and bytes for what it has no piece for.

    A tokenizer read from a GGUF file may claim bytes that its vocabulary hasn't.
    """
    model = _parts(tokenizer)["model"]
    return bool(model.get("byte_fallback")) and "<0x0A>" in model["vocab"]


def _check_spaces(tokenizer: "PreTrainedTokenizerBase", template: str) -> None:
    """SentencePiece puts a space before a text; Transformers before the first alone, llama.cpp everywhere or nowhere.

    They agree on nowhere where a prompt starts with a special token.
    """
    parts = _parts(tokenizer)
    step = parts["pre_tokenizer"] or {}
    plain = step.get("type") == "Metaspace" and step.get("replacement") == "▁" and not step.get("split")
    if not plain or step.get("prepend_scheme") not in ("first", "never") or parts["normalizer"] is not None:
        raise ModelError(f"gguf: llama.cpp puts spaces into SentencePiece's text in another way; {OTHER_TOOL}")
    special = {at for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    for probe in PROBES:
        prompt = render_template(tokenizer, template, *probe)
        if tokenizer(prompt, add_special_tokens=False)["input_ids"][0] not in special:
            raise ModelError(
                "gguf: with a SentencePiece vocabulary, llama.cpp reads a prompt in the same way only where it starts "
                f"with a special token, and this template's starts with {prompt[:12]!r}; {OTHER_TOOL}"
            )


def pre_tokenizer(tokenizer: "PreTrainedTokenizerBase") -> str:
    """llama.cpp's name for how the tokenizer splits text before BPE. Raises `ModelError` for one that has none here."""
    parts = _parts(tokenizer)
    if parts["model"]["type"] != "BPE":
        raise ModelError(f"gguf: writes BPE vocabularies, this is {parts['model']['type']}; {OTHER_TOOL}")
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


def add_vocabulary(writer: "GGUFWriter", tokenizer: "PreTrainedTokenizerBase", size: int, ends: Sequence[int]) -> None:
    """Tokens by id (a padded vocabulary's spare ids as unused), their types, how they merge, and the special ids."""
    by_id = {at: token for token, at in tokenizer.get_vocab().items()}
    tokens = [by_id.get(at, f"[PAD{at}]") for at in range(size)]
    merges = _parts(tokenizer)["model"]["merges"]
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    if is_sentencepiece(tokenizer):
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_scores(_scores(tokens, pairs))
        writer.add_add_space_prefix(False)  # see `_check_spaces`
        writer.add_unk_token_id(tokenizer.unk_token_id)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre_tokenizer(tokenizer))
        writer.add_token_merges([" ".join(pair) for pair in pairs])
    writer.add_token_list(tokens)
    writer.add_token_types(_types(tokenizer, by_id, size))
    writer.add_add_bos_token(False)  # templates write the BOS themselves where a model wants one
    for name, at in zip(ENDS, ends, strict=False):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", at)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)


def _scores(tokens: list[str], pairs: list[list[str]]) -> list[float]:
    """What SentencePiece merges by, the highest first: the rank of a token's first merge, negated."""
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(pairs):
        ranks.setdefault("".join(pair), rank)
    return [-float(ranks[token]) if token in ranks else UNMERGED for token in tokens]


def _types(tokenizer: "PreTrainedTokenizerBase", by_id: dict[int, str], size: int) -> list[TokenType]:
    added = tokenizer.added_tokens_decoder
    bytes_too = is_sentencepiece(tokenizer)
    types = []
    for at in range(size):
        if at not in by_id:
            types.append(TokenType.UNUSED)
        elif bytes_too and at == tokenizer.unk_token_id:
            types.append(TokenType.UNKNOWN)
        elif at in added:
            types.append(TokenType.CONTROL if added[at].special else TokenType.USER_DEFINED)
        else:
            types.append(TokenType.BYTE if bytes_too and BYTE.fullmatch(by_id[at]) else TokenType.NORMAL)
    return types
