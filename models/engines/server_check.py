"""Whether a server can do its part for a recipe, found out before anything is asked of it; one clear line if not."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from transformers import AutoConfig

from configs.errors import EngineError, ModelError, first_line
from configs.schema.sections import EngineConfig, ModelConfig, ServerConfig
from models.engines.server_api import ABOUT, ServerFacts, shape_of
from models.engines.server_client import headers_of
from models.engines.server_pool import Server
from models.server import said, vocabulary_difference
from models.source import base_of, source_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

START = "start it with `mull serve RECIPE`"
PATIENCE = 30.0
"""Seconds that a server has for its first answer."""


def check_server(url: str, config: EngineConfig, model: ModelConfig, tokenizer: "PreTrainedTokenizerBase") -> Server:
    """The server at `url`. Raises a `MullError` where it serves another model, or lacks what an engine needs."""
    # 1. what it says of itself
    base = url.rstrip("/").removesuffix("/v1")
    facts = facts_of(base, config)
    if not facts.budgets:
        raise EngineError(f"{url}: its sampler keeps no budgets, or can't tell what became of them; {START}")
    if facts.logprobs_mode != "processed_logprobs":
        raise EngineError(
            f"{url}: its log-probabilities are {facts.logprobs_mode}, not those of what was sampled from; {START}"
        )
    if facts.context < model.max_length:
        raise EngineError(
            f"{url}: its context is {facts.context} tokens, and model.max_length={model.max_length}; start it with "
            "more, or lower model.max_length"
        )

    # 2. the model: its shape, and what its ids mean
    own = shape_of(AutoConfig.from_pretrained(source_of(base_of(model))))
    other = next((key for key, value in own.items() if facts.shape.get(key) != value), None)
    if other:
        raise ModelError(
            f"{url}: serves another model ({facts.model}): its {other} is {facts.shape.get(other)}, that of model.name "
            f"{model.name} is {own[other]}; serve the recipe's model, or name this one"
        )
    section = ServerConfig(url=f"{base}/v1", model=facts.name, api_key_env=config.api_key_env)
    if difference := vocabulary_difference(tokenizer, section):
        raise ModelError(
            f"{url}: serves another model ({facts.model}): in the text of all ids it has {difference[1]!r}, where "
            f"model.name {model.name} has {difference[0]!r}; serve the recipe's model, or name this one"
        )
    return Server(base, facts)


def check_adapters(servers: Sequence[Server], config: EngineConfig, rank: int) -> None:
    """Raise a `MullError` unless every server takes adapters of that rank from the recipe's folder."""
    folder, name = adapters_folder(config), f"probe-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    except OSError as error:
        raise EngineError(f"engine.adapters: {folder} can't be written to: {error.strerror}; name another") from error
    try:
        for server in servers:
            facts = facts_of(server.url, config, name)
            if facts.adapters is None or facts.max_rank is None:
                raise EngineError(f"{server.url}: takes no adapters; start it with `mull serve --adapters {folder}`")
            if facts.max_rank < rank:
                raise EngineError(
                    f"{server.url}: has room for LoRAs of rank {facts.max_rank}, and this one has {rank}; start it "
                    f"with `-- --max-lora-rank {rank}` or more"
                )
            if not facts.sees_probe:
                raise EngineError(
                    f"{server.url}: looks for adapters in {facts.adapters}, and does not see there what is written to "
                    f"engine.adapters={folder}; name one folder that both machines see"
                )
    finally:
        (folder / name).unlink(missing_ok=True)


def adapters_folder(config: EngineConfig) -> Path:
    """The folder that servers get adapters through. Raises `EngineError` where the recipe names none."""
    if config.adapters is None:
        raise EngineError(
            "engine.adapters: the servers answer with an adapter, which they get through a folder that they see too; "
            "name one, and start them with `mull serve --adapters` on it"
        )
    return Path(config.adapters)


def facts_of(base: str, config: EngineConfig, probe: str = "") -> ServerFacts:
    """What the server at `base` says of itself. Raises `EngineError`."""
    try:
        response = httpx.get(f"{base}{ABOUT}", params={"probe": probe}, headers=headers_of(config), timeout=PATIENCE)
    except httpx.HTTPError as error:
        raise EngineError(f"{base}: can't be reached ({first_line(error)}); {START}, or check engine.urls") from error
    if response.status_code == 401:
        raise EngineError(f"{base}: it wants a key; name the variable that holds it in engine.api_key_env")
    if response.status_code == 404:
        raise EngineError(f"{base}: this server knows no budgets; {START}")
    if response.status_code != 200:
        raise EngineError(f"{base}: {response.status_code} {said(response)}; its log may say more")
    try:
        return ServerFacts.read(response.json(), base)
    except ValueError:
        raise EngineError(f"{base}: this is no server of ours; {START}, or check engine.urls") from None
