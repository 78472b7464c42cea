"""A tokenizer has one chat template, and a pad that is not the end of the turn."""

import shutil
from pathlib import Path

import pytest

from configs.errors import ModelError
from configs.schema.sections import ModelConfig
from models.tokenizer import finish_tokenizer, load_tokenizer
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model(tmp_path_factory.mktemp("tiny")))


def test_a_tokenizer_without_a_chat_template_is_refused(tiny: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        finish_tokenizer(tokenizer, None)


def test_of_several_chat_templates_the_default_is_taken(tiny: str, tmp_path: Path) -> None:
    from data.prompts import render_prompt
    from data.think_format import S1

    plain = load_tokenizer(ModelConfig(name=tiny))
    shutil.copytree(tiny, tmp_path / "model")
    several = load_tokenizer(ModelConfig(name=tiny))
    several.chat_template = {"default": plain.chat_template, "tool_use": "{{ tools }}"}
    several.save_pretrained(tmp_path / "model")
    found = load_tokenizer(ModelConfig(name=str(tmp_path / "model")))
    assert render_prompt(found, "1 + 1?", S1) == render_prompt(plain, "1 + 1?", S1)
    several.chat_template = {"rag": "{{ documents }}"}
    with pytest.raises(ModelError, match=r"none of the tokenizer's chat templates \(rag\) is called default"):
        finish_tokenizer(several, None)


def test_padding_is_never_the_end_of_the_turn(tiny: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.pad_token = tokenizer.eos_token
    finish_tokenizer(tokenizer, None)
    assert tokenizer.pad_token == "<|endoftext|>"
