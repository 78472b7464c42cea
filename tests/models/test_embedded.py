"""The embedded model has its right end of turn."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.engine
def test_embedded_eos_ends_the_chat_turn(embedded: Path, tokenizer: Any) -> None:
    generation = json.loads((embedded / "generation_config.json").read_text())
    assert generation["eos_token_id"] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>") == 2
    assert tokenizer.pad_token_id not in (1, 2)
    assert tokenizer.padding_side == "left"
    assert tokenizer.chat_template
