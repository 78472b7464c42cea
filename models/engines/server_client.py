"""What is asked of one vLLM server: a completion with its account, an adapter, a sign of life."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import httpx

from budget_forcing.budget_state import Outcome
from configs.errors import EngineError
from configs.schema.sections import EngineConfig
from models.engines.job import Job
from models.engines.server_api import ABOUT, HEARTBEAT, OUTCOMES, ServerFacts
from models.engines.server_pool import RequestFailed, Server, ServerLost
from models.engines.vllm_job import outcome_of, sampling_fields
from models.server import key_in, said

CONNECT = 10.0
"""Seconds for a connection, and for a server that was left out to say that it is back."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A job; its adapter's folder, below the one of all adapters, or None; and a name that no other try has."""

    job: Job
    adapter: str | None
    nonce: str


def run_with_client(
    config: EngineConfig, adapters: Iterable[str | None], work: Callable[["ServerClient"], Awaitable[None]]
) -> None:
    """`work` with a client for the recipe's servers, which is closed after it; `adapters`: all that it asks for."""

    async def run() -> None:
        # a completion may take long: how long a server may be silent is watched beside it
        timeout = httpx.Timeout(None, connect=CONNECT)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=config.batch_size)
        async with httpx.AsyncClient(headers=headers_of(config), timeout=timeout, limits=limits) as http:
            await work(ServerClient(http, {name_of(adapter) for adapter in adapters if adapter}))

    asyncio.run(run())


def headers_of(config: EngineConfig) -> dict[str, str]:
    """The key that the recipe names, as a header. Raises `EngineError` where it is not set."""
    key = key_in(config.api_key_env, "engine.api_key_env")
    return {"Authorization": f"Bearer {key}"} if key else {}


def name_of(adapter: str) -> str:
    """What a server calls an adapter, by its folder: new with each folder, as prefix caches are kept by the name."""
    return adapter.replace("/", "-")


class ServerClient:
    """Asks servers, on one connection pool; see `models.engines.server_pool.Talk` for what its calls raise."""

    def __init__(self, http: httpx.AsyncClient, wanted: Collection[str] = ()) -> None:
        """`wanted`: names of adapters that are asked for; servers forget all others that they were given."""
        self.http, self.wanted = http, wanted
        self.loading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def greet(self, server: Server) -> None:
        """See `Talk`. One that was started anew has no adapters any more."""
        try:
            async with asyncio.timeout(CONNECT):
                response = await self._get(server, ABOUT)
        except TimeoutError:
            raise ServerLost(server.left_out) from None
        facts = ServerFacts.read(response.json(), server.url)
        if facts != server.facts:
            raise ServerLost("it is back with another model, or other options")
        server.adapters.clear()

    async def beat(self, server: Server) -> None:
        """See `Talk`."""
        await self._get(server, HEARTBEAT)

    async def ask(self, server: Server, asked: Asked) -> Outcome:
        """The completion of a job, and what became of its budget."""
        # 1. the adapter
        name = server.facts.name
        if asked.adapter is not None:
            name = name_of(asked.adapter)
            async with self.loading[server.url]:
                if name not in server.adapters:
                    await self._load(server, name, asked.adapter)

        # 2. the completion
        fields = sampling_fields(asked.job, asked.nonce)
        fields["vllm_xargs"] = fields.pop("extra_args")
        body = {"model": name, "prompt": list(asked.job.known), "return_token_ids": True}
        body |= {field: value for field, value in fields.items() if value is not None}
        response = await self._post(server, "/v1/completions", body)
        if response.status_code == 404 and asked.adapter is not None:  # started anew, so quickly that nobody saw it
            server.adapters.discard(name)
            raise RequestFailed(f"it does not know {name} any more")
        choice = self._read(server, response)["choices"][0]

        # 3. what its tokens can't say
        told = None
        if asked.job.budget is not None:
            response = await self._post(server, OUTCOMES, {"names": [asked.nonce]})
            told = self._read(server, response)[0]
            if told is None:
                raise RequestFailed("it does not know what became of a request")
        logprobs = [float(p) for p in (choice.get("logprobs") or {}).get("token_logprobs") or []]
        return outcome_of([int(i) for i in choice["token_ids"]], logprobs, told, asked.job.begun)

    async def _load(self, server: Server, name: str, adapter: str) -> None:
        """Have the server load an adapter, and forget those that are never asked for again."""
        path = str(PurePosixPath(server.facts.adapters or "") / adapter)
        for left in (2, 1, 0):
            response = await self._post(server, "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
            if response.status_code == 200 or "already been loaded" in response.text:
                break
            if not left:
                raise ServerLost(f"it can't load the adapter {path}: {said(response)}")
            await asyncio.sleep(1)  # a network's file system may show a new folder later
        for old in server.adapters - {*self.wanted}:
            await self._post(server, "/v1/unload_lora_adapter", {"lora_name": old})
            server.adapters.discard(old)
        server.adapters.add(name)

    async def _get(self, server: Server, path: str) -> httpx.Response:
        response = await self._send(server, "GET", path)
        if response.status_code != 200:
            raise ServerLost(f"{path}: {response.status_code} {said(response)}")
        return response

    async def _post(self, server: Server, path: str, body: dict[str, Any]) -> httpx.Response:
        return await self._send(server, "POST", path, body)

    async def _send(self, server: Server, method: str, path: str, body: Any = None) -> httpx.Response:
        for left in (1, 0):
            try:
                return await self.http.request(method, f"{server.url}{path}", json=body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as failure:
                if not left:
                    raise ServerLost(f"can't be reached ({failure})") from failure
                await asyncio.sleep(1)
            except httpx.HTTPError as failure:
                raise RequestFailed(f"its connection broke ({type(failure).__name__})") from failure
        raise AssertionError

    def _read(self, server: Server, response: httpx.Response) -> Any:
        """The answer's body. Raises `EngineError` for a request that no server would take."""
        if response.status_code >= 500:
            raise RequestFailed(f"{response.status_code} {said(response)}")
        if response.status_code != 200:
            raise EngineError(f"{server.url}: {response.status_code} {said(response)}")
        return response.json()
