"""A tokenizer as everything here expects it: one chat template, the pad on the left and apart from the end of turn."""

import copy
import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError
from transformers import AutoTokenizer

from configs.errors import ModelError, first_line
from configs.schema.sections import ModelConfig
from data.prompts import turn_end
from models.backend import check_model_config
from models.engines.generation import end_of_turn
from models.protocols import CausalLM
from models.source import announce_download, base_of, source_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
SPARE_TOKENS = ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>", "<unk>")
"""What vocabularies keep for padding, or use for nothing."""
RESERVED = re.compile("pad|reserved|unused", re.IGNORECASE)
"""Names of special tokens that no template and no completion holds."""


def load_tokenizer(config: ModelConfig) -> "PreTrainedTokenizerBase":
    """The tokenizer alone, as `load_model` returns it."""
    check_model_config(config)
    base = base_of(config)
    announce_download(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source_of(base))
    except (OSError, ValueError) as error:
        raise ModelError(f"model.name: {config.name} can't be loaded: {first_line(error)}") from error
    finish_tokenizer(tokenizer, None)
    return tokenizer


def finish_tokenizer(tokenizer: "PreTrainedTokenizerBase", model: CausalLM | None) -> None:
    """Make tokenizer and model agree on template, end of turn, pad and side; `model` may be None.

    Trainer, saved adapter, exports and engines all stop where the chat template ends a turn, whatever the tokenizer
    came with: base models end documents with `<|endoftext|>` under a template that ends turns with `<|im_end|>`.
    """
    _keep_one_template(tokenizer)
    tokenizer.eos_token = _turn_end_token(tokenizer)
    _set_apart_pad(tokenizer)
    tokenizer.padding_side = "left"
    if model is not None:
        model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
        _tell_ends(model, tokenizer)


def _keep_one_template(tokenizer: "PreTrainedTokenizerBase") -> None:
    if tokenizer.chat_template is None:
        raise ModelError(
            "model.name: the tokenizer has no chat template; use an instruct model, or add one to its folder"
        )
    if isinstance(tokenizer.chat_template, dict):  # several by name, for tools and the like
        if "default" not in tokenizer.chat_template:
            raise ModelError(
                f"model.name: none of the tokenizer's chat templates ({', '.join(tokenizer.chat_template)}) is called "
                "default; keep the one to use in its folder"
            )
        tokenizer.chat_template = tokenizer.chat_template["default"]


def _turn_end_token(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """What the chat template ends a turn with, where that is one token of the vocabulary; else the EOS as it is."""
    try:
        end = turn_end(tokenizer)
    except (ModelError, TemplateError):  # it drops the reply or refuses the roles: rendering a turn says so
        end = ""
    end_token: str | None = end if end in tokenizer.get_vocab() else tokenizer.eos_token
    return end_token


def _set_apart_pad(tokenizer: "PreTrainedTokenizerBase") -> None:
    """A pad token that is not the end of the turn, where the vocabulary has one to spare.

    Many losses ignore every pad in the labels: a model whose end of turn is the pad would never learn to stop.
    """
    if tokenizer.pad_token is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return
    vocabulary = tokenizer.get_vocab()
    spare = [token for token in SPARE_TOKENS if token in vocabulary and token != tokenizer.eos_token]
    tokenizer.pad_token = spare[0] if spare else tokenizer.eos_token
    if not spare:
        logger.warning(
            "the vocabulary has no token to spare, so %r pads too; our own labels still train it, another tool's loss "
            "may ignore it",
            tokenizer.eos_token,
        )


def with_unsampled_pad(tokenizer: "PreTrainedTokenizerBase", ends: Sequence[int]) -> "PreTrainedTokenizerBase":
    """`tokenizer`, or a copy that pads with a reserved token where its own pad is one of `ends` (ids).

    Unsloth's loss leaves out every pad, drawn ones too: an end of turn that pads would never be taught. Raises
    `ModelError` where the vocabulary has nothing reserved.
    """
    if tokenizer.pad_token_id not in ends:
        return tokenizer
    special = [str(token) for at, token in sorted(tokenizer.added_tokens_decoder.items()) if at not in ends]
    reserved = sorted(filter(RESERVED.search, special), key=lambda token: "pad" not in token.lower())
    if not reserved:
        raise ModelError(
            f"model.backend: Unsloth's loss leaves out every {tokenizer.pad_token}, which pads and ends turns, and the "
            "vocabulary has no reserved token to pad with; set model.backend=transformers"
        )
    padded = copy.deepcopy(tokenizer)
    padded.pad_token = reserved[0]
    return padded


def _tell_ends(model: CausalLM, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Name the trained end of turn first in the model's configs, then the ends that they had."""
    ends = end_of_turn(tokenizer, model.config, model.generation_config.eos_token_id)
    for config in (model.config, model.generation_config):
        named = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in named:
            config.eos_token_id = list(ends)
