"""`mull serve RECIPE.yaml`: the command of a server for the recipe's own `engine: {name: server}`."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError, ModelError
from serving.recipe_server import in_recipe, recipe_command, served_by
from serving.serve import main, serve_arguments, vllm_environment


def recipe(folder: Path, **sections: Any) -> str:
    file = folder / "recipe.yaml"
    values = {"model": {"name": "smollm2-135m", "precision": "fp32", "max_length": 512}} | sections
    file.write_text(yaml.safe_dump(values))
    return str(file)


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_base_model_is_served_with_room_for_the_adapter(tmp_path: Path, embedded: Path) -> None:
    engine = {"name": "server", "adapters": str(tmp_path / "shared")}
    file = recipe(tmp_path, adapter={"r": 20}, rollout={"engine": engine})
    model, adapters, rank = served_by(file)
    assert (adapters, rank) == (str(tmp_path / "shared"), 20)
    args = serve_arguments([file, "--port", "81", "--", "--max-num-seqs", "4"])
    words = recipe_command(model, adapters, rank, args)
    assert words[0] == sys.executable
    assert str(embedded) in words
    assert option(words, "--max-lora-rank") == "32"  # the next that vLLM has
    assert option(words, "--max-model-len") == "512"
    assert option(words, "--middleware") == "serving.engine_endpoint.EngineEndpoint"
    assert option(words, "--worker-extension-cls") == "budget_forcing.vllm_worker.WorkerExtension"
    assert words[-2:] == ["--max-num-seqs", "4"]
    assert vllm_environment(adapters, {})["MULL_ADAPTERS"] == adapters
    assert f"urls: [http://127.0.0.1:81], adapters: {adapters}}}" in in_recipe(args, adapters)


def test_without_a_folder_no_adapter_is_loaded(tmp_path: Path) -> None:
    model, adapters, rank = served_by(recipe(tmp_path, engine={"name": "server"}))
    assert adapters is None
    assert "--enable-lora" not in recipe_command(model, adapters, rank, serve_arguments(["recipe.yaml"]))
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in vllm_environment(adapters, {})


@pytest.mark.parametrize(
    ("sections", "arguments", "error", "message"),
    [
        ({"model": {}}, [], ConfigError, r"recipe\.yaml: model\.name: missing"),
        ({"model": None}, [], ConfigError, r"recipe\.yaml: model"),
        ({}, ["--budget", "b.yaml"], ConfigError, "--budget: is for chats with a trained run"),
        ({}, ["--adapters", "/x", "--", "--max-lora-rank", "8"], ModelError, "--max-lora-rank: 8, and the recipe's"),
    ],
)
def test_recipe_that_can_not_be_served(
    tmp_path: Path, sections: dict[str, Any], arguments: list[str], error: type[Exception], message: str
) -> None:
    pytest.importorskip("vllm")
    with pytest.raises(error, match=message):
        main([recipe(tmp_path, **sections), *arguments])


def test_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file; name a recipe, or a run folder"):
        served_by(str(tmp_path / "none.yaml"))
