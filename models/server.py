"""Any OpenAI-compatible server: completions, and a vLLM's log-probabilities; many requests at a time, tried again."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from configs.errors import EngineError
from configs.schema.sections import SamplingConfig, ServerConfig
from models.engines.generation import decode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_WAIT = 0.5
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
Item = TypeVar("Item")
Answer = TypeVar("Answer")


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

    async def ask(client: Any, question: Question) -> None:
        body = _body(question, server.model, sampling, max_tokens)
        reply, error = await _post(
            client, server, "chat/completions", body, lambda answer: _parsed(question.key, answer, think)
        )
        on_reply(reply or Reply(question.key, "", "error", error))

    asyncio.run(_each(questions, server, ask))


def prompt_logprobs(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], server: ServerConfig) -> list[list[float]]:
    """A vLLM's log-probability of every completion token of (prompt ids, completion ids), at temperature 1.

    Raises `EngineError` where one can't be had, also after the last try.
    """
    found: list[list[float]] = [[] for _ in pairs]

    async def ask(client: Any, at: int) -> None:
        prompt, completion = pairs[at]
        ids = [*prompt, *completion]
        body = {"model": server.model, "prompt": ids, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}

        def read(answer: Any) -> list[float]:
            rows = answer["choices"][0].get("prompt_logprobs")
            if not rows:
                raise EngineError(f"{server.url}: it returns no prompt_logprobs; a vLLM server does: take one")
            pairs = zip(rows[len(prompt) :], completion, strict=True)
            return [float(row[str(token)]["logprob"]) for row, token in pairs]

        values, error = await _post(client, server, "completions", body, read)
        if values is None:
            raise EngineError(f"{server.url}: no log-probabilities of given tokens: {error}")
        found[at] = values

    asyncio.run(_each(range(len(pairs)), server, ask))
    return found


def detokenized(ids: Sequence[int], server: ServerConfig) -> str:
    """What a vLLM's tokenizer makes of `ids`. Raises `EngineError`."""
    texts: list[str] = []

    async def ask(client: Any, body: dict[str, Any]) -> None:
        text, error = await _post(client, server, "/detokenize", body, lambda answer: str(answer["prompt"]))
        if text is None:
            raise EngineError(f"{server.url}: it can't say what its token ids are: {error}")
        texts.append(text)

    asyncio.run(_each([{"model": server.model, "tokens": list(ids)}], server, ask))
    return texts[0]


def vocabulary_difference(tokenizer: "PreTrainedTokenizerBase", server: ServerConfig) -> tuple[str, str] | None:
    """Where the texts of all ids in a row first differ: (ours, the server's), a few characters; None: nowhere."""
    ids = range(len(tokenizer))
    mine, theirs = decode(tokenizer, ids), detokenized(ids, server)
    if mine == theirs:
        return None
    pairs = enumerate(zip(mine, theirs, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(mine), len(theirs)))
    return mine[at : at + 12], theirs[at : at + 12]


async def _each(items: Sequence[Item], server: ServerConfig, work: Callable[[Any, Item], Awaitable[None]]) -> None:
    """`work` on every item with the client, so many at a time as the section says; the first error ends them all."""
    import httpx

    key = api_key(server)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=server.concurrency, max_keepalive_connections=server.concurrency)
    waiting = iter(items)

    async with httpx.AsyncClient(headers=headers, timeout=server.timeout, limits=limits) as client:

        async def work_on() -> None:
            for item in waiting:
                await work(client, item)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(server.concurrency, len(items))):
                    group.create_task(work_on())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None


def api_key(server: ServerConfig) -> str:
    """The key of a recipe's server, "" where it names none. Raises `EngineError`."""
    return key_in(server.api_key_env, "server.api_key_env")


def key_in(variable: str | None, field: str) -> str:
    """What the environment `variable` holds that the recipe names in `field`; "" for none. Raises `EngineError`."""
    key = os.environ.get(variable or "", "")
    if variable and not key:
        raise EngineError(f"{field}: {variable} is not set; export it, or leave the field out")
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


async def _post(
    client: Any, server: ServerConfig, path: str, body: dict[str, Any], read: Callable[[Any], Answer]
) -> tuple[Answer | None, str]:
    """(what `read` makes of the answer, ""), or (None, what is wrong) after the last try. Raises `EngineError`.

    `path`: under the API's base, or from `/` on the server's own.
    """
    import httpx

    base = server.url.rstrip("/")
    url = f"{base.removesuffix('/v1')}{path}" if path.startswith("/") else f"{base}/{path}"
    error = ""
    for attempt in range(server.retries + 1):
        if attempt:
            await asyncio.sleep(_WAIT * 2 ** (attempt - 1) * (0.5 + random.random()))
        try:
            response = await client.post(url, json=body)
        except httpx.ConnectError as failure:
            error = f"can't be reached ({failure})"
            continue
        except httpx.HTTPError as failure:
            error = f"{type(failure).__name__}: {failure}"
            continue
        if response.status_code in (401, 403, 404):
            raise EngineError(f"{server.url}: {response.status_code} {said(response)}; check server.url, model and key")
        if response.status_code != 200:
            error = f"{response.status_code} {said(response)}"
            if response.status_code in _AGAIN:
                continue
            break
        try:
            return read(response.json()), ""
        except (ValueError, KeyError, IndexError, TypeError) as failure:
            error = f"not the answer of {path} ({type(failure).__name__}: {failure})"
    if error.startswith("can't be reached"):
        raise EngineError(f"{server.url}: {error}; start the server, or check server.url")
    return None, error


def _parsed(key: str, answer: dict[str, Any], think: tuple[str, str]) -> Reply:
    choice = answer["choices"][0]
    message = choice["message"]
    text = str(message.get("content") or "")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if reasoning:
        text = f"{think[0]}\n{str(reasoning).strip()}\n{think[1]}{text.strip()}"
    return Reply(key, text, str(choice.get("finish_reason") or "stop"))


def said(response: Any) -> str:
    """The first of what a refusal's body says, in one line."""
    return " ".join(str(response.text).split())[:200]
