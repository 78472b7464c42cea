"""How requests are shared among servers, and what becomes of those of one that fails; no server is started."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest

from configs.errors import EngineError
from models.engines.server_api import ServerFacts
from models.engines.server_pool import RequestFailed, Server, ServerLost, Sharing, Talk

Ask = Callable[[Server, int], Awaitable[str]]
FACTS = ServerFacts("base", "m", "float32", 300, (2,), {}, "processed_logprobs", True, None, None)


def two() -> list[Server]:
    return [Server("http://a", FACTS), Server("http://b", FACTS)]


async def alive(_: Server) -> None:
    pass


def share(
    servers: Sequence[Server],
    ask: Ask,
    count: int = 40,
    greet: Callable[[Server], Awaitable[None]] = alive,
    beat: Callable[[Server], Awaitable[None]] = alive,
    more: Callable[[int], Sequence[int]] = lambda _: [],
) -> dict[int, str]:
    """Request → who answered it."""
    answers: dict[int, str] = {}

    def done(number: int, answer: str) -> Sequence[int]:
        assert number not in answers
        answers[number] = answer
        return more(number)

    sharing = Sharing(servers, Talk(greet, ask, beat), done, at_once=4, silence=0.2)
    asyncio.run(sharing.run(range(count)))
    return answers


async def answer(server: Server, number: int) -> str:
    await asyncio.sleep(0)
    return server.url


def test_servers_alike_share_alike() -> None:
    asked = Counter(share(two(), answer).values())
    assert asked["http://a"] + asked["http://b"] == 40
    assert min(asked.values()) >= 16


def test_slow_server_takes_less() -> None:
    asked: Counter[str] = Counter()

    async def ask(server: Server, number: int) -> str:
        asked[server.url] += 1
        while server.url == "http://a" and asked["http://b"] < 30:
            await asyncio.sleep(0.001)
        return server.url

    assert Counter(share(two(), ask).values())["http://a"] <= 10


def test_few_requests_go_to_both() -> None:
    assert sorted(share(two(), answer, count=2).values()) == ["http://a", "http://b"]


def test_dead_servers_requests_go_to_the_other() -> None:
    async def ask(server: Server, number: int) -> str:
        await asyncio.sleep(0.001)
        if server.url == "http://a" and number > 10:
            raise ServerLost("dead")
        return server.url

    servers = two()
    assert sorted(share(servers, ask)) == [*range(40)]
    assert [server.left_out for server in servers] == ["dead", ""]


def test_silent_server_is_left_out() -> None:
    async def hang(server: Server) -> None:
        if server.url == "http://a":
            await asyncio.sleep(1000)

    async def ask(server: Server, number: int) -> str:
        await hang(server)
        return server.url

    servers = two()
    assert {*share(servers, ask, beat=hang).values()} == {"http://b"}
    assert "no sign of life for 0.2 s" in servers[0].left_out


def test_long_request_of_a_living_server_is_waited_for() -> None:
    async def ask(server: Server, number: int) -> str:
        await asyncio.sleep(1)  # five times the silence
        return server.url

    servers = two()
    assert len(share(servers, ask, count=2)) == 2
    assert not any(server.left_out for server in servers)


def test_heartbeat_may_fail_once() -> None:
    beats: Counter[str] = Counter()

    async def beat(server: Server) -> None:
        beats[server.url] += 1
        if beats[server.url] % 2:
            raise RequestFailed("its connection broke")

    async def ask(server: Server, number: int) -> str:
        while beats[server.url] < 4:
            await asyncio.sleep(0.01)
        return server.url

    servers = two()
    assert len(share(servers, ask, count=2, beat=beat)) == 2
    assert not any(server.left_out for server in servers)


@pytest.mark.parametrize("is_back", [True, False])
@pytest.mark.parametrize("failure", [ServerLost, RequestFailed])
def test_server_left_out_is_asked_whether_it_is_back(is_back: bool, failure: type[Exception]) -> None:
    async def greet(server: Server) -> None:
        if not is_back:
            raise failure("still dead")

    async def ask(server: Server, number: int) -> str:
        await asyncio.sleep(0.001)
        return server.url

    servers = two()
    servers[0].left_out = "dead"
    assert ("http://a" in share(servers, ask, greet=greet).values()) == is_back
    assert servers[0].left_out == ("" if is_back else "still dead")


def test_failed_request_is_asked_again() -> None:
    failures: Counter[int] = Counter()

    async def ask(server: Server, number: int) -> str:
        await asyncio.sleep(0)
        failures[number] += 1
        if number == 5 and failures[number] < 3:
            raise RequestFailed("500")
        return server.url

    servers = two()
    assert 5 in share(servers, ask)
    assert not any(server.left_out for server in servers)


def test_failed_request_goes_to_another_server() -> None:
    asked: list[str] = []

    async def ask(server: Server, number: int) -> str:
        asked.append(server.url)
        if server.url == "http://a":
            raise RequestFailed("500")
        return server.url

    assert share(two(), ask, count=1) == {0: "http://b"}
    assert asked == ["http://a", "http://b"]


def test_request_that_never_succeeds_ends_the_call() -> None:
    async def ask(server: Server, number: int) -> str:
        await asyncio.sleep(0)
        if number == 5:
            raise RequestFailed("500 no")
        return server.url

    with pytest.raises(EngineError, match="a request failed 4 times: 500 no"):
        share(two(), ask)


def test_server_on_which_many_fail_is_left_out() -> None:
    async def ask(server: Server, number: int) -> str:
        await asyncio.sleep(0.001)
        if server.url == "http://a":
            raise RequestFailed("500 no")
        return server.url

    servers = two()
    assert len(share(servers, ask)) == 40
    assert servers[0].left_out == "500 no"


def test_no_server_left_names_all_reasons() -> None:
    async def ask(server: Server, number: int) -> str:
        raise ServerLost(f"dead {server.url[-1]}")

    with pytest.raises(EngineError, match=r"no server is left \(http://a: dead a; http://b: dead b\).*--resume"):
        share(two(), ask)


def test_branches_are_asked_too() -> None:
    answers = share(two(), answer, count=3, more=lambda number: [number + 10] if number < 10 else [])
    assert sorted(answers) == [0, 1, 2, 10, 11, 12]


def test_error_of_the_caller_ends_the_call() -> None:
    def fail(number: int) -> Sequence[int]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        share(two(), answer, more=fail)
