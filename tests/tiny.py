"""A tiny random chat model for tests of mechanics: two layers, a byte-level vocabulary, ChatML turns."""

import json
from pathlib import Path
from typing import Any

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 0, 1, 2, as in SmolLM2
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer() -> Any:
    """Every byte is one token and the special tokens are ids 0 to 2; "Wait" is four ids."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate(SPECIAL + letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def tiny_model(folder: Path, seed: int = 0, vocabulary: int = 264, layers: int = 2, scale: float = 1.0) -> Path:
    """Write a random `LlamaForCausalLM` (fp32) and its tokenizer to `folder`; returns `folder`.

    `vocabulary` may exceed the tokenizer's 259 ids, as padded vocabularies do. `scale` multiplies the output weights: a
    larger one makes the distribution sharper.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.convert_tokens_to_ids("<|im_start|>"),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def as_base_model(folder: Path) -> Path:
    """Make `folder` look like a Qwen base model: its files end texts with <|endoftext|>, its template turns don't."""
    for name in ("tokenizer_config.json", "config.json", "generation_config.json"):
        file = folder / name
        values = json.loads(file.read_text(encoding="utf-8"))
        values["eos_token" if name.startswith("tokenizer") else "eos_token_id"] = (
            "<|endoftext|>" if name.startswith("tokenizer") else 0
        )
        file.write_text(json.dumps(values), encoding="utf-8")
    return folder
