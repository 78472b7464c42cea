"""A tokenizer as everything here expects it: one chat template, the pad on the left and apart from the end of turn."""

from typing import Any

from transformers import AutoTokenizer

from configs.errors import ModelError, first_line
from configs.schema.sections import ModelConfig
from models.backend import check
from models.source import base_of, source_kwargs

SPARE_TOKENS = ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>", "<unk>")
"""What vocabularies keep for padding, or use for nothing."""


def load_tokenizer(config: ModelConfig) -> Any:
    """The tokenizer alone, as `load_model` returns it."""
    check(config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(**source_kwargs(base_of(config)))
    except (OSError, ValueError) as error:
        raise ModelError(f"model.name: {config.name} can't be loaded: {first_line(error)}") from error
    finish_tokenizer(tokenizer, None)
    return tokenizer


def finish_tokenizer(tokenizer: Any, model: Any) -> None:
    """Left padding (generation needs it) and a pad token that is not the EOS where the vocabulary has one.

    A pad token equal to EOS gets masked out of the SFT loss by many collators: such a model never learns to stop.
    """
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
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        vocabulary = tokenizer.get_vocab()
        spare = (token for token in SPARE_TOKENS if token in vocabulary)
        tokenizer.pad_token = next((t for t in spare if t != tokenizer.eos_token), tokenizer.eos_token)
    tokenizer.padding_side = "left"
    if model is not None:
        model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
