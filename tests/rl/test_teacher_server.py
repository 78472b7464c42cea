"""A vLLM server as the teacher says what the same weights say in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import EngineError, ModelError
from configs.schema.sections import ServerConfig
from data.think_format import S1
from models.load import LoadedModel
from rewards.composition import RewardSet
from rl.rollout import prompts
from rl.teacher_check import check_server
from tests.rl.trainers import PROBLEMS, built, randomise
from tests.tiny import tiny_model, tiny_tokenizer
from tests.vllm_env import vllm_serve

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("teacher"), seed=1)


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerConfig]:
    pytest.importorskip("vllm")
    with vllm_serve(folder, tmp_path_factory.mktemp("server")) as client:
        yield ServerConfig(url=str(client.base_url).rstrip("/"), model="tiny", retries=0)


def drawn(tiny: LoadedModel, folder: Path, section: dict[str, Any]) -> dict[str, Any]:
    trainer = built(tiny, folder, RewardSet([]), teacher=section, max_completion_length=24)
    randomise(trainer.model)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    torch.manual_seed(0)
    batch: dict[str, Any] = trainer.draw([{"prompt": "", "problem": at} for at in (0, 1) for _ in range(4)])
    return batch


def test_server_teaches_as_the_weights_do(
    tiny: LoadedModel, folder: Path, server: ServerConfig, tmp_path: Path
) -> None:
    here = drawn(tiny, tmp_path, {"model": {"name": str(folder), "precision": "fp32"}})
    there = drawn(tiny, tmp_path, {"server": server.model_dump()})
    assert torch.equal(here["completion_ids"], there["completion_ids"])
    torch.testing.assert_close(there["advantages"], here["advantages"], atol=1e-3, rtol=0)
    assert here["advantages"].abs().max() > 0.1


def test_real_server_is_checked(server: ServerConfig) -> None:
    rendered = prompts(PROBLEMS, tiny_tokenizer(), S1)
    check_server(server, tiny_tokenizer(), rendered, 24)
    with pytest.raises(EngineError, match=r"no log-probabilities of given tokens: 400 .*300"):
        check_server(server, tiny_tokenizer(), rendered, 400)
    with pytest.raises(EngineError, match=r"404 .*other.*check server\.url, model and key"):
        check_server(server.model_copy(update={"model": "other"}), tiny_tokenizer(), rendered, 24)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<tool>"])
    with pytest.raises((ModelError, EngineError), match=r"tiny at http.* has another vocabulary|token ids are"):
        check_server(server, tokenizer, rendered, 24)
