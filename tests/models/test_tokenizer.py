"""A tokenizer has one chat template, and a pad that is not the end of the turn."""

import json
import shutil
from pathlib import Path

import pytest

from configs.errors import ModelError
from configs.schema.sections import ModelConfig
from data.prompts import loaded_eos
from models.tokenizer import finish_tokenizer, load_tokenizer
from tests.tiny import as_base_model, tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model(tmp_path_factory.mktemp("tiny")))


def test_missing_chat_template_is_refused(tiny: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        finish_tokenizer(tokenizer, None)


def test_default_chat_template_is_chosen(tiny: str, tmp_path: Path) -> None:
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


def test_pad_differs_from_end_of_turn(tiny: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.pad_token = tokenizer.eos_token
    finish_tokenizer(tokenizer, None)
    assert tokenizer.pad_token == "<|endoftext|>"


@pytest.fixture(scope="module")
def base_like(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base model's files: <|endoftext|> ends a text, while the template ends turns with <|im_end|>."""
    return str(as_base_model(tiny_model(tmp_path_factory.mktemp("base"))))


def test_eos_is_the_templates_end_of_turn(base_like: str) -> None:
    tokenizer = load_tokenizer(ModelConfig(name=base_like))
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
    assert tokenizer.pad_token == "<|endoftext|>"
    assert loaded_eos(tokenizer) == "<|endoftext|>"


def test_saved_tokenizer_keeps_trained_eos(base_like: str, tmp_path: Path) -> None:
    load_tokenizer(ModelConfig(name=base_like)).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["eos_token"] == "<|im_end|>"


def test_model_config_has_both_ends(base_like: str) -> None:
    from models.load import load_model

    model = load_model(ModelConfig(name=base_like, precision="fp32")).model
    assert model.config.eos_token_id == model.generation_config.eos_token_id == [2, 0]


def test_multi_token_end_keeps_eos(tiny: str) -> None:
    tokenizer = load_tokenizer(ModelConfig(name=tiny))
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>", "</turn>")
    finish_tokenizer(tokenizer, None)
    assert tokenizer.eos_token == "<|im_end|>"


def test_pad_without_spare_token_warns(tiny: str, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = load_tokenizer(ModelConfig(name=tiny))
    tokenizer.pad_token = "<|im_end|>"
    tokenizer.get_vocab = lambda: {"<|im_end|>": 2}
    finish_tokenizer(tokenizer, None)
    assert tokenizer.pad_token == "<|im_end|>"
    assert "no token to spare" in caplog.text


def test_pad_as_end_of_turn_keeps_label(tiny: str) -> None:
    from data.problem import Trace
    from data.think_format import S1
    from sft.encoding import encode_trace

    tokenizer = load_tokenizer(ModelConfig(name=tiny))
    tokenizer.pad_token = tokenizer.eos_token
    example = encode_trace(Trace("1", "1 + 1?", "two", "2", "test"), tokenizer, S1)
    assert example.labels[-1] == tokenizer.pad_token_id == 2
