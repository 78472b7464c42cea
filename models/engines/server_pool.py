"""Servers that share the requests of a call: whichever is free takes the next, and one that fails is left out.

    waiting ──take──▶ a server decodes it ──▶ done, and what branches off from it waits
       ▲                     │
       └─ it dies or hangs ──┘   the others take over what it had; it is asked again at the start of the next call

A server dies when its connections fail or vLLM says so, and hangs when its worker gives no sign of life for as long as
the recipe allows.
"""

import asyncio
import logging
import math
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from configs.errors import EngineError
from models.engines.server_api import ServerFacts

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Place = TypeVar("Place", bound="Member")
TRIES = 4
"""How often one request may fail."""
FAILURES = 3
"""How many requests may fail on one server before one succeeds."""
PULSE = 15.0
"""Most seconds between two heartbeats."""
NONE_LEFT = "engine.urls: no server is left ({}); start them again and go on with --resume"


@dataclass(slots=True, eq=False)
class Member:
    """One of the servers that share requests.

    `left_out`: why it is not asked. Of the present call: how many requests it has `taken`, and which have `failed`
    since one did not.
    """

    url: str
    left_out: str = field(default="", kw_only=True)
    taken: int = field(default=0, kw_only=True)
    failed: set[int] = field(default_factory=set, kw_only=True)


@dataclass(slots=True, eq=False)
class Server(Member):
    """One that `mull serve` started; `url` has no `/v1`. `adapters`: names that it has loaded."""

    facts: ServerFacts
    adapters: set[str] = field(default_factory=set)


class ServerLost(Exception):
    """This server can't go on; its requests can, elsewhere."""


class RequestFailed(Exception):
    """One request failed; another try, here or elsewhere, may not."""


@dataclass(frozen=True, slots=True)
class Talk(Generic[Place, Answer]):
    """How to talk to a server; all raise `ServerLost`, `RequestFailed`, and `EngineError` for what no server can mend.

    greet  one that was left out: is it back?
    ask    for request number so many
    beat   until it has given a sign of life
    """

    greet: Callable[[Place], Awaitable[None]]
    ask: Callable[[Place, int], Awaitable[Answer]]
    beat: Callable[[Place], Awaitable[None]]


class Work:
    """Numbers of requests that wait or are under way."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.waiting = deque(numbers)
        self.open = len(self.waiting)
        self.servers = 0  # that take part
        self._tried: defaultdict[int, set[str]] = defaultdict(set)
        self._changed = asyncio.Event()

    async def take(self, server: Member) -> int | None:
        """The next one, once there is one and the server has no more than its share; None when all are done."""
        while self.open:
            if server.taken < math.ceil(self.open / max(self.servers, 1)):
                number = next((number for number in self.waiting if self._suits(number, server)), None)
                if number is not None:
                    self.waiting.remove(number)
                    server.taken += 1
                    return number
            self._changed.clear()
            await self._changed.wait()
        return None

    def _suits(self, number: int, server: Member) -> bool:
        """Whether it did not fail there, or failed everywhere."""
        tried = self._tried.get(number, ())
        return server.url not in tried or len(tried) >= self.servers

    def put_back(self, number: int, server: Member) -> None:
        """It is not done: whoever is free takes it next, `server` only after the others."""
        self._tried[number].add(server.url)
        self.waiting.appendleft(number)
        self._changed.set()

    def finish(self, more: Sequence[int]) -> None:
        """One is done; `more` wait."""
        self.waiting.extend(more)
        self.open += len(more) - 1
        self._changed.set()

    def count(self, change: int) -> None:
        """So many servers more, or fewer."""
        self.servers += change
        self._changed.set()


class Sharing(Generic[Place, Answer]):
    """One call's requests on all servers; `done` gets each answer and returns the numbers of those to ask next."""

    def __init__(
        self,
        servers: Sequence[Place],
        talk: Talk[Place, Answer],
        done: Callable[[int, Answer], Sequence[int]],
        *,
        at_once: int,
        silence: float,
        none_left: str = NONE_LEFT,
    ) -> None:
        """`at_once`: most requests at a time on one server; `silence`: seconds without a sign of life.

        `none_left`: what to say when no server is, with `{}` for the reason of each.
        """
        self.servers, self.talk, self.done = servers, talk, done
        self.at_once, self.silence, self.none_left = at_once, silence, none_left
        self.failed: Counter[int] = Counter()

    async def run(self, numbers: Iterable[int]) -> None:
        """Until all are done. Raises `EngineError` where no server is left, or one request fails on and on."""
        self.work = Work(numbers)
        serving = [asyncio.create_task(self._serve(server)) for server in self.servers]
        try:
            running: set[asyncio.Task[None]] = {*serving}
            while self.work.open and running:
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
        finally:
            await _end(serving)
        if self.work.open:
            why = "; ".join(f"{server.url}: {server.left_out}" for server in self.servers)
            raise EngineError(self.none_left.format(why))

    async def _serve(self, server: Place) -> None:
        """Work on one server until all is done; without a word where it is left out already and not back."""
        was_left_out = bool(server.left_out)
        server.taken = 0
        server.failed.clear()
        tasks: list[asyncio.Task[None]] = []
        counted = 0
        try:
            if was_left_out:
                await self._greet(server)
                server.left_out = ""
                logger.warning("%s is back and takes its part again", server.url)
            counted = 1
            self.work.count(1)
            tasks = [asyncio.create_task(self._work(server)) for _ in range(self.at_once)]
            tasks.append(asyncio.create_task(self._watch(server)))
            running = {*tasks}
            while len(running) > 1:  # the watch alone never ends
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
        except ServerLost as lost:
            server.left_out = str(lost)
            if self.work.servers > counted and (counted or not was_left_out):
                logger.warning("%s is left out: %s; the others take over its requests", server.url, lost)
        finally:
            await _end(tasks)
            self.work.count(-counted)

    async def _greet(self, server: Place) -> None:
        try:
            await self.talk.greet(server)
        except RequestFailed as failure:
            raise ServerLost(str(failure)) from None

    async def _work(self, server: Place) -> None:
        while (number := await self.work.take(server)) is not None:
            try:
                answer = await self.talk.ask(server, number)
            except RequestFailed as failure:
                self._failed(server, number, failure)
                continue
            except BaseException:
                self._give_back(server, number)
                raise
            server.taken -= 1
            server.failed.clear()
            self.work.finish(self.done(number, answer))

    def _failed(self, server: Place, number: int, failure: RequestFailed) -> None:
        self._give_back(server, number)
        self.failed[number] += 1
        server.failed.add(number)
        if len(server.failed) >= FAILURES:
            raise ServerLost(str(failure))
        if self.failed[number] >= TRIES:
            raise EngineError(f"{server.url}: a request failed {TRIES} times: {failure}")

    def _give_back(self, server: Place, number: int) -> None:
        server.taken -= 1
        self.work.put_back(number, server)

    async def _watch(self, server: Place) -> None:
        """Raise `ServerLost` when the server has given no sign of life for so long."""
        while True:
            await asyncio.sleep(min(self.silence / 4, PULSE))
            for left in (True, False):  # a second try, for this process may have been the slow one
                try:
                    async with asyncio.timeout(self.silence / 2):
                        await self.talk.beat(server)
                    break
                except TimeoutError:
                    if not left:
                        raise ServerLost(f"no sign of life for {self.silence:g} s (engine.silence)") from None
                except RequestFailed as failure:
                    if not left:
                        raise ServerLost(str(failure)) from None


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
