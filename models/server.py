"""Any OpenAI-compatible server: completions, and a vLLM's log-probabilities; many requests at a time, tried again.

Several servers of one model share the requests (`models.engines.server_pool`).
"""

import asyncio
import math
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from configs.errors import EngineError
from configs.schema.sections import SamplingConfig, ServerConfig
from models.engines.generation import decode
from models.engines.server_pool import TRIES, Member, RequestFailed, ServerLost, Sharing, Talk

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
    no server can be reached at all, or one refuses the key or the model.
    """

    async def ask(at: "_Address", question: Question) -> None:
        body = _body(question, server.model, sampling, max_tokens)
        reply = await _post(at, "chat/completions", body, lambda answer: _parsed(question.key, answer, think))
        on_reply(reply)

    def give_up(url: str, question: Question, error: str) -> None:
        on_reply(Reply(question.key, "", "error", error))

    asyncio.run(_each(questions, server, ask, give_up))


def prompt_logprobs(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], server: ServerConfig) -> list[list[float]]:
    """A vLLM's log-probability of every completion token of (prompt ids, completion ids), at temperature 1.

    Raises `EngineError` where one can't be had, also after the last try.
    """
    found: list[list[float]] = [[] for _ in pairs]

    async def ask(at: "_Address", number: int) -> None:
        prompt, completion = pairs[number]
        ids = [*prompt, *completion]
        body = {"model": server.model, "prompt": ids, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}

        def read(answer: Any) -> list[float]:
            rows = answer["choices"][0].get("prompt_logprobs")
            if not rows:
                raise EngineError(f"{at.url}: it returns no prompt_logprobs; a vLLM server does: take one")
            pairs = zip(rows[len(prompt) :], completion, strict=True)
            return [float(row[str(token)]["logprob"]) for row, token in pairs]

        found[number] = await _post(at, "completions", body, read)

    def give_up(url: str, number: int, error: str) -> None:
        raise EngineError(f"{url}: no log-probabilities of given tokens: {error}")

    asyncio.run(_each(range(len(pairs)), server, ask, give_up))
    return found


def detokenized(ids: Sequence[int], server: ServerConfig) -> str:
    """What a vLLM's tokenizer makes of `ids`. Raises `EngineError`."""
    texts: list[str] = []

    async def ask(at: "_Address", body: dict[str, Any]) -> None:
        texts.append(await _post(at, "/detokenize", body, lambda answer: str(answer["prompt"])))

    def give_up(url: str, body: dict[str, Any], error: str) -> None:
        raise EngineError(f"{url}: it can't say what its token ids are: {error}")

    asyncio.run(_each([{"model": server.model, "tokens": list(ids)}], server, ask, give_up))
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


class _Refused(Exception):
    """The request is wrong: no server would take it."""


@dataclass(frozen=True, slots=True)
class _Address:
    """One of the section's servers, with the client that asks it; `alone`: no other is left."""

    client: Any
    config: ServerConfig
    url: str
    alone: bool


async def _each(
    items: Sequence[Item],
    server: ServerConfig,
    work: Callable[[_Address, Item], Awaitable[None]],
    give_up: Callable[[str, Item, str], None],
) -> None:
    """`work` on every item at whichever server is free, so many at a time as the section says.

    What fails at one is tried at another. `give_up`: called with a url, an item and what was wrong there in the end.
    The first error ends them all.
    """
    import httpx

    key = api_key(server)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    members = [Member(url.rstrip("/")) for url in server.addresses]
    most = server.concurrency * len(members)
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
    failed: Counter[int] = Counter()

    async with httpx.AsyncClient(headers=headers, timeout=server.timeout, limits=limits) as client:

        async def ask(member: Member, number: int) -> None:
            others = sum(not other.left_out for other in members) - 1
            try:
                await work(_Address(client, server, member.url, not others), items[number])
            except _Refused as failure:
                give_up(member.url, items[number], str(failure))
            except RequestFailed as failure:
                failed[number] += 1
                if failed[number] < min(others + 1, TRIES):
                    raise
                give_up(member.url, items[number], str(failure))

        async def alive(member: Member) -> None:
            """Its requests have a timeout, which tells of a server that hangs."""

        talk = Talk(alive, ask, alive)
        none_left = "no server is left ({}); start one, or check server.urls"
        if server.url:
            none_left = "{}; start the server, or check server.url"
        sharing = Sharing(
            members, talk, lambda *_: (), at_once=server.concurrency, silence=math.inf, none_left=none_left
        )
        await sharing.run(range(len(items)))


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


async def _post(at: _Address, path: str, body: dict[str, Any], read: Callable[[Any], Answer]) -> Answer:
    """What `read` makes of the answer; `path`: under the API's base, or from `/` on the server's own.

    Raises `RequestFailed` and `ServerLost` after the last try, `_Refused` and `EngineError` for what no try can mend.
    """
    import httpx

    url = f"{at.url.removesuffix('/v1')}{path}" if path.startswith("/") else f"{at.url}/{path}"
    error, is_lost = "", False
    for attempt in range(at.config.retries + 1):
        if attempt:
            await asyncio.sleep(_WAIT * 2 ** (attempt - 1) * (0.5 + random.random()))
        is_lost = False
        try:
            response = await at.client.post(url, json=body)
        except httpx.HTTPError as failure:
            is_lost = isinstance(failure, httpx.ConnectError)
            error = f"can't be reached ({failure})" if is_lost else f"{type(failure).__name__}: {failure}"
            if at.alone:
                continue
            break  # waiting for a server that is dead or hangs is a waste where another answers
        if response.status_code in (401, 403, 404):
            raise EngineError(f"{at.url}: {response.status_code} {said(response)}; check server.url, model and key")
        if response.status_code != 200:
            error = f"{response.status_code} {said(response)}"
            if response.status_code in _AGAIN:
                continue
            raise _Refused(error)
        try:
            return read(response.json())
        except (ValueError, KeyError, IndexError, TypeError) as failure:
            error = f"not the answer of {path} ({type(failure).__name__}: {failure})"
    raise ServerLost(error) if is_lost else RequestFailed(error)


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
