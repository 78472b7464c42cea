"""What the tests of `rl` share."""

import pytest

from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from models.load import LoadedModel, load_model
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tiny_model(tmp_path_factory.mktemp("tiny"))
    return load_model(ModelConfig(name=str(folder), precision="fp32"), LoraConfig(r=4, alpha=8))
