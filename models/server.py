"""Completions from any OpenAI-compatible server: many requests at a time, each tried again when it fails."""

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from configs.errors import EngineError
from configs.schema.sections import SamplingConfig, ServerConfig

_WAIT = 0.5
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Question:
    """One request: chat messages, and what tells it from the others."""

    key: str
    messages: Sequence[dict[str, str]]
    seed: int


@dataclass(frozen=True, slots=True)
class Reply:
    """`text` includes the reasoning that a server returns apart, between think tags; `error` instead of a text."""

    key: str
    text: str
    finish: str
    error: str = ""


def ask_server(
    questions: Sequence[Question],
    server: ServerConfig,
    sampling: SamplingConfig,
    max_tokens: int,
    think: tuple[str, str],
    on_reply: Callable[[Reply], None],
) -> None:
    """Put every question to the server; `on_reply` gets each reply as it comes, and failures after the last try.

    `think`: what opens and ends thinking, for servers that return `reasoning_content` apart. Raises `EngineError` when
    the server can't be reached at all, or refuses the key or the model.
    """
    asyncio.run(_ask(questions, server, sampling, max_tokens, think, on_reply))


async def _ask(
    questions: Sequence[Question],
    server: ServerConfig,
    sampling: SamplingConfig,
    max_tokens: int,
    think: tuple[str, str],
    on_reply: Callable[[Reply], None],
) -> None:
    import httpx

    key = api_key(server)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=server.concurrency, max_keepalive_connections=server.concurrency)
    waiting = iter(questions)

    async with httpx.AsyncClient(headers=headers, timeout=server.timeout, limits=limits) as client:

        async def work() -> None:
            for question in waiting:
                body = _body(question, server.model, sampling, max_tokens)
                on_reply(await _reply(client, server, question.key, body, think))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(server.concurrency, len(questions))):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None


def api_key(server: ServerConfig) -> str:
    """The key in the environment variable that the recipe names, "" where it names none. Raises `EngineError`."""
    key = os.environ.get(server.api_key_env or "", "")
    if server.api_key_env and not key:
        raise EngineError(f"server.api_key_env: {server.api_key_env} is not set; export it, or leave the field out")
    return key


def _body(question: Question, model: str, sampling: SamplingConfig, max_tokens: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": list(question.messages),
        "max_tokens": max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": question.seed,
    }
    if sampling.top_k:  # not in OpenAI's API; vLLM, SGLang and llama.cpp know both
        body["top_k"] = sampling.top_k
    if sampling.min_p:
        body["min_p"] = sampling.min_p
    if sampling.repetition_penalty != 1:
        body["repetition_penalty"] = sampling.repetition_penalty
    return body


async def _reply(client: Any, server: ServerConfig, key: str, body: dict[str, Any], think: tuple[str, str]) -> Reply:
    import httpx

    error = ""
    for attempt in range(server.retries + 1):
        if attempt:
            await asyncio.sleep(_WAIT * 2 ** (attempt - 1) * (0.5 + random.random()))
        try:
            response = await client.post(f"{server.url.rstrip('/')}/chat/completions", json=body)
        except httpx.ConnectError as failure:
            error = f"can't be reached ({failure})"
            continue
        except httpx.HTTPError as failure:
            error = f"{type(failure).__name__}: {failure}"
            continue
        if response.status_code in (401, 403, 404):
            raise EngineError(
                f"{server.url}: {response.status_code} {_said(response)}; check server.url, model and key"
            )
        if response.status_code != 200:
            error = f"{response.status_code} {_said(response)}"
            if response.status_code in _AGAIN:
                continue
            break
        try:
            return _parsed(key, response.json(), think)
        except (ValueError, KeyError, IndexError, TypeError) as failure:
            error = f"not a chat completion ({type(failure).__name__}: {failure})"
    if error.startswith("can't be reached"):
        raise EngineError(f"{server.url}: {error}; start the server, or check server.url")
    return Reply(key, "", "error", error)


def _parsed(key: str, answer: dict[str, Any], think: tuple[str, str]) -> Reply:
    choice = answer["choices"][0]
    message = choice["message"]
    text = str(message.get("content") or "")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if reasoning:
        text = f"{think[0]}\n{str(reasoning).strip()}\n{think[1]}{text.strip()}"
    return Reply(key, text, str(choice.get("finish_reason") or "stop"))


def _said(response: Any) -> str:
    return " ".join(str(response.text).split())[:200]
