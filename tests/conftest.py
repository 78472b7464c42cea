"""What the tests share."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from configs.command import prepare_libraries

prepare_libraries()
settings.register_profile("untimed", deadline=None)  # a test's first case may import Transformers
settings.load_profile("untimed")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't import a file none of whose tests is of the tier that runs: imports take longer than many a test."""
    if not collection_path.name.startswith("test_"):
        return None
    text, tier = collection_path.read_text(encoding="utf-8"), config.option.markexpr
    if tier in ("engine", "recipe"):
        return True if f"pytest.mark.{tier}" not in text else None
    whole = re.search(r"^pytestmark = \[?\s*pytest\.mark\.(engine|recipe)", text, re.MULTILINE)
    return True if whole and f"not {whole[1]}" in tier else None


@pytest.fixture(scope="session")
def embedded() -> Path:
    """The embedded model's folder; converted once."""
    from models.embedded import embedded_model_folder

    return embedded_model_folder()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The embedded model's tokenizer, as `load_model` returns it."""
    from configs.schema.sections import ModelConfig
    from models.tokenizer import load_tokenizer

    return load_tokenizer(ModelConfig(name="smollm2-135m"))
