"""A recipe's model behind a vLLM server, for the same recipe's `engine: {name: server}`: `mull serve RECIPE.yaml`.

It is the untouched base model: adapters, the one in training too, come through the folder of `--adapters`, which is the
recipe's own `engine.adapters` unless it is given.
"""

import argparse
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.recipe import explain, read_yaml
from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from models.adapter_files import check_adapter
from models.backend import check_vllm, choose_backend
from models.source import base_of, source_of
from serving.serve import vllm_environment, vllm_words, wanted_rank


def serve_recipe(args: argparse.Namespace) -> None:
    """Become the `vllm serve` of the recipe `args.run`. Raises `MullError`s."""
    if args.budget:
        raise ConfigError("--budget: is for chats with a trained run; a recipe's requests bring budgets of their own")
    model, adapters, rank = served_by(args.run)
    adapters = args.adapters or adapters
    words = recipe_command(model, adapters, rank, args)
    print(f"{shlex.join(words)}\n\n{in_recipe(args, adapters)}\n", flush=True)
    if not args.dry_run:
        os.execve(words[0], words, vllm_environment(adapters, os.environ))


def served_by(recipe: str) -> tuple[ModelConfig, str | None, int]:
    """The `model:` of a recipe of any command, its folder of adapters, and the rank of the LoRA that it needs."""
    if not Path(recipe).is_file():
        raise ConfigError(f"{recipe}: no such file; name a recipe, or a run folder")
    values: Any = OmegaConf.to_container(read_yaml(Path(recipe)), resolve=True)
    try:
        model = ModelConfig.model_validate(values.get("model"))
    except ValidationError as error:
        raise ConfigError(f"{recipe}: model.{explain(ModelConfig, error)}") from None
    engine = _section(values, "engine") or _section(_section(values, "rollout"), "engine")
    shape = check_adapter(model.adapter) if model.adapter else _section(values, "adapter")
    return model, engine.get("adapters"), int(shape.get("r") or LoraConfig().r)


def recipe_command(model: ModelConfig, adapters: str | None, rank: int, args: argparse.Namespace) -> list[str]:
    """The `vllm serve` of the base model, with room for adapters where there is a folder of them."""
    precision = choose_backend(model).precision
    check_vllm(precision)
    words = vllm_words(source_of(base_of(model)), model, precision, args)
    words += ["--served-model-name", "base"]
    if adapters:
        words += ["--enable-lora", "--max-lora-rank", str(wanted_rank(rank, "the recipe's adapter", args.further))]
    return [*words, *args.further]


def in_recipe(args: argparse.Namespace, adapters: str | None) -> str:
    """What the recipe says to be answered by this server."""
    folder = f", adapters: {adapters}" if adapters else ""
    return f"in the recipe: engine: {{name: server, urls: [http://{args.host}:{args.port}]{folder}}}"


def _section(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}
