"""What the tests share."""

from pathlib import Path
from typing import Any

import pytest

from configs.command import quiet_libraries

quiet_libraries()


@pytest.fixture(scope="session")
def embedded() -> Path:
    """The embedded model's folder; converted once."""
    from models.embedded import embedded_model_folder

    return embedded_model_folder()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The embedded model's tokenizer, as `load_model` returns it."""
    from configs.schema import ModelConfig
    from models.load import load_tokenizer

    return load_tokenizer(ModelConfig(name="smollm2-135m"))
