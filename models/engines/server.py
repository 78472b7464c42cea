"""The server engine: vLLM servers elsewhere that `mull serve` started, with all that an engine in this process gives.

Token ids go in and come back over OpenAI's completions API, budgets travel in each request, and the servers' own
workers tell which tokens were forced (`models.engines.server_api`). Every request has a seed, so that a sample is the
same on whichever server it is drawn. An adapter goes through a folder that both sides see.
"""

import copy
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from budget_forcing.budget_state import Outcome
from configs.errors import EngineError
from configs.schema.sections import EngineConfig, ModelConfig
from data.think_format import ThinkFormat
from models.adapter_files import check_adapter, is_adapter, local_adapter, type_of, weights_of
from models.adapter_types import check_vllm_adapter
from models.engines.adapter_sync import Handover, rank_of
from models.engines.base import Engine
from models.engines.generation import decode, end_of_turn
from models.engines.job import Branch, Decoded, Job
from models.engines.server_check import adapters_folder, check_adapters, check_server
from models.engines.server_client import Asked, ServerClient, run_with_client
from models.engines.server_pool import Server, Sharing, Talk
from models.engines.sharing import decode_shared
from models.load import LoadedModel
from models.protocols import CausalLM
from models.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ServerEngine(Engine):
    """Decodes on `servers`, which were found to be of one model; `adapter` is the folder of requests that name none."""

    name = "server"
    is_exact = False

    def __init__(
        self,
        servers: Sequence[Server],
        config: EngineConfig,
        tokenizer: "PreTrainedTokenizerBase",
        think_format: ThinkFormat,
        context: int,
        adapter: str | None = None,
    ) -> None:
        facts = servers[0].facts
        eos = end_of_turn(tokenizer, None, facts.ends)
        super().__init__(tokenizer, think_format, context, eos)
        self.servers, self.config, self.adapter = list(servers), config, adapter
        self._handover: Handover | None = None
        self._followed: CausalLM | None = None
        self._copies: dict[tuple[str, float], str] = {}

    @classmethod
    def connect(
        cls, config: EngineConfig, model: ModelConfig, think_format: ThinkFormat, loaded: LoadedModel | None = None
    ) -> "ServerEngine":
        """Look at every server of the recipe; one that can't do its part is refused here. Raises `MullError`s.

        `loaded`: the model in training, whose adapter the servers will answer with.
        """
        tokenizer = load_tokenizer(model)
        adapter = local_adapter(model.adapter) if model.adapter and loaded is None else None
        shape = check_adapter(adapter) if adapter else {}
        check_vllm_adapter(type_of(shape), "engine.name")
        servers = [check_server(url, config, model, tokenizer) for url in config.urls]
        rank = rank_of(loaded.model) if loaded is not None else shape.get("r")
        if rank is not None:
            check_adapters(servers, config, rank)
        context = min(model.max_length, *(server.facts.context for server in servers))
        return cls(servers, config, tokenizer, think_format, context, adapter)

    @property
    def about(self) -> str:  # type: ignore[override]  # which servers there are is known only now
        """Whose weights answer, and where."""
        facts = self.servers[0].facts
        where = ", ".join(server.url for server in self.servers)
        return f"{facts.model} in {facts.dtype}, served at {where}"

    def parts(self) -> list[Engine]:
        """An engine for each server that takes part; this one where none does, which the next call will say."""
        alone: list[Engine] = []
        for server in self.servers:
            if not server.left_out:
                part = copy.copy(self)
                part.servers = [server]
                alone.append(part)
        return alone or [self]

    def follow(self, model: CausalLM) -> None:
        """Answer with the LoRA of `model` as it is now; each server loads it before it is asked next."""
        self._followed = model
        self.adapter = self._shared().folder_of(model)

    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        """See `models.engines.base.Engine.decode`. Raises `EngineError` when no server is left."""
        decode_shared(self._decode, jobs, decoded, partial(decode, self.tokenizer))

    def close(self) -> None:
        """Remove the adapters that the servers were given."""
        if self._handover is not None:
            self._handover.close()

    def _decode(self, jobs: Sequence[Job], branch: Branch) -> None:
        known = [replace(job, seeded=True) for job in jobs]
        adapters: dict[str | None, str | None] = {job.adapter: self._folder(job.adapter) for job in known}

        def done(number: int, outcome: Outcome) -> Sequence[int]:
            more = branch(number, outcome)
            known.extend(replace(job, seeded=True) for job in more)
            return range(len(known) - len(more), len(known))

        async def work(client: ServerClient) -> None:
            async def ask(server: Server, number: int) -> Outcome:
                job = known[number]
                return await client.ask(server, Asked(job, adapters[job.adapter], uuid.uuid4().hex))

            talk = Talk(client.greet, ask, client.beat)
            sharing = Sharing(self.servers, talk, done, at_once=self.config.batch_size, silence=self.config.silence)
            await sharing.run(range(len(jobs)))

        if known:
            run_with_client(self.config, adapters.values(), work)

    def _folder(self, adapter: str | None) -> str | None:
        """Where an adapter lies below the shared folder, for both sides; None for the base model."""
        folder = adapter or self.adapter
        if folder is None:
            return None
        if adapter is None and self._followed is not None:
            if not is_adapter(Path(folder)):  # something cleaned it up
                self.follow(self._followed)
                folder = str(self.adapter)
            return self._below(folder)
        if not is_adapter(Path(folder)):
            raise EngineError(f"adapter {folder}: it holds no adapter (any more); put it back, or name another")
        shape = check_adapter(folder)
        check_vllm_adapter(type_of(shape), f"adapter {folder}")
        key = folder, weights_of(Path(folder)).stat().st_mtime
        if key not in self._copies:
            check_adapters(self.servers, self.config, int(shape["r"]))
            self._copies[key] = self._shared().copy_of(Path(folder))
        return self._below(self._copies[key])

    def _below(self, folder: str) -> str:
        return str(Path(folder).relative_to(adapters_folder(self.config).absolute()))

    def _shared(self) -> Handover:
        self._handover = self._handover or Handover(adapters_folder(self.config).absolute())
        return self._handover
