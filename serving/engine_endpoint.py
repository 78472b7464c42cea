"""What `vllm serve` answers the `server` engine beside OpenAI's API (`models.engines.server_api`).

    vllm serve … --middleware serving.engine_endpoint.EngineEndpoint
        --worker-extension-cls budget_forcing.vllm_worker.WorkerExtension

Adapters come from the one folder in `MULL_ADAPTERS`; vLLM's own call would load them from any. Where the server has an
API key, it is asked for here too.
"""

import json
import os
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from vllm import envs

from budget_forcing.vllm_request import EXTENSION, PROCESSOR
from models.engines.server_api import ABOUT, ADAPTERS_VARIABLE, HEARTBEAT, OUTCOMES, PROBE, ServerFacts, shape_of

LOAD = "/v1/load_lora_adapter"


class EngineEndpoint:
    """ASGI middleware: answers the three paths and passes on all others, but not adapters from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.answers = {ABOUT: about, HEARTBEAT: heartbeat, OUTCOMES: outcomes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or path not in (*self.answers, LOAD):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        if path == LOAD:
            body = await request.body()
            if is_in_folder(body, os.environ.get(ADAPTERS_VARIABLE)):
                await self.app(scope, once(body, receive), send)
                return
            response: Response = JSONResponse({"error": "adapters come from the server's own folder alone"}, 403)
        elif not is_allowed(request):
            response = JSONResponse({"error": "Unauthorized"}, 401)
        else:
            response = await self.answers[path](request)
        await response(scope, receive, send)


def is_in_folder(body: bytes, folder: str | None) -> bool:
    """Whether a request to load an adapter names a path below `folder`."""
    try:
        path = json.loads(body)["lora_path"]
        return folder is not None and Path(path).resolve().is_relative_to(Path(folder).resolve())
    except (ValueError, TypeError, KeyError):
        return False


def once(body: bytes, receive: Receive) -> Receive:
    """`receive` for whom the body is read again first."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


def is_allowed(request: Request) -> bool:
    """Whether the request has one of the server's keys, where it has any."""
    keys = [key for key in (request.app.state.args.api_key or [envs.VLLM_API_KEY]) if key]
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    return not keys or any(secrets.compare_digest(given, key.encode()) for key in keys)


async def about(request: Request) -> Response:
    """`ServerFacts` of this server."""
    state = request.app.state
    client, config = state.engine_client, state.engine_client.model_config
    lora, extension = client.vllm_config.lora_config, client.vllm_config.parallel_config.worker_extension_cls
    folder = os.environ.get(ADAPTERS_VARIABLE) if envs.VLLM_ALLOW_RUNTIME_LORA_UPDATING and lora else None
    probe = request.query_params.get("probe", "")
    facts = ServerFacts(
        name=(state.args.served_model_name or [config.model])[0],
        model=str(config.model),
        dtype=str(config.dtype).removeprefix("torch."),
        context=config.max_model_len,
        ends=ends_of(config),
        shape=shape_of(config.hf_config),
        logprobs_mode=str(config.logprobs_mode),
        budgets=PROCESSOR in (config.logits_processors or []) and extension == EXTENSION,
        max_rank=lora.max_lora_rank if lora else None,
        adapters=folder,
        sees_probe=bool(folder and PROBE.fullmatch(probe) and (Path(folder) / probe).is_file()),
    )
    return JSONResponse(asdict(facts))


def ends_of(config: Any) -> tuple[int, ...]:
    """The ids at which this vLLM ends a turn, by the model's config and its generation config."""
    named = (config.hf_config.eos_token_id, config.try_get_generation_config().get("eos_token_id"))
    ids = [i for ends in named for i in (ends if isinstance(ends, list) else [ends])]
    return tuple(dict.fromkeys(i for i in ids if i is not None))


async def heartbeat(request: Request) -> Response:
    """Nothing, once the worker has answered: between two steps, so that a step delays it and a hang stops it."""
    await _from_workers(request, [])
    return Response()


async def outcomes(request: Request) -> Response:
    """What became of finished requests; of several data-parallel engines one knows."""
    names = (await request.json())["names"]
    reports = await _from_workers(request, names)
    known = [next((one for one in of_name if one is not None), None) for of_name in zip(*reports, strict=True)]
    return JSONResponse(known)


async def _from_workers(request: Request, names: list[str]) -> list[list[Any]]:
    found: list[list[Any]] = await request.app.state.engine_client.collective_rpc("budget_outcomes", args=(names,))
    return found
