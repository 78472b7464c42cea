"""What the endpoint answers itself, what it passes on, and what it refuses; vLLM's part is played by a few lines."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from models.engines.server_api import ABOUT, HEARTBEAT, OUTCOMES

pytest.importorskip("vllm")
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]  # seconds to import

LOAD = "/v1/load_lora_adapter"
REPORT = {"forced": [True], "reason": "limit"}


class Workers:
    """Two data-parallel engines, of which the second knows the request "a"."""

    async def collective_rpc(self, method: str, args: tuple[list[str]]) -> list[list[Any]]:
        assert method == "budget_outcomes"
        return [[None for _ in args[0]], [REPORT if name == "a" else None for name in args[0]]]


def call(method: str, path: str, body: Any = None, key: str = "", keys: tuple[str, ...] = ()) -> httpx.Response:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from serving.engine_endpoint import EngineEndpoint

    async def inner(request: Request) -> JSONResponse:
        return JSONResponse({"passed on": await request.json()})

    app = Starlette(routes=[Route(path, inner, methods=["POST"]) for path in (LOAD, "/v1/completions")])
    app.add_middleware(EngineEndpoint)
    app.state.args = SimpleNamespace(api_key=list(keys))
    app.state.engine_client = Workers()

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return await client.request(method, path, json=body, headers=headers)

    return asyncio.run(send())


def test_outcomes_come_from_the_engine_that_knows() -> None:
    assert call("POST", OUTCOMES, {"names": ["a", "b"]}).json() == [REPORT, None]
    assert call("GET", HEARTBEAT).status_code == 200


def test_other_requests_are_passed_on() -> None:
    assert call("POST", "/v1/completions", {"prompt": [1]}).json() == {"passed on": {"prompt": [1]}}


@pytest.mark.parametrize(("method", "path"), [("GET", ABOUT), ("GET", HEARTBEAT), ("POST", OUTCOMES)])
@pytest.mark.parametrize("key", ["", "another"])
def test_key_is_asked_for_where_the_server_has_one(method: str, path: str, key: str) -> None:
    assert call(method, path, {"names": []}, key, keys=("secret",)).status_code == 401


def test_right_key_is_let_in() -> None:
    assert call("GET", HEARTBEAT, key="secret", keys=("other", "secret")).status_code == 200


@pytest.mark.parametrize(
    ("path", "is_in"), [("a/step-1", True), ("a/../../elsewhere", False), ("/etc", False), ("a-link", False)]
)
def test_adapters_come_from_the_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, is_in: bool
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "a-link").symlink_to("/etc")
    monkeypatch.setenv("MULL_ADAPTERS", str(folder))
    body = {"lora_name": "x", "lora_path": str(folder / path)}
    response = call("POST", LOAD, body)
    assert response.status_code == (200 if is_in else 403)
    assert not is_in or response.json() == {"passed on": body}  # nothing of it was lost on the way


def test_no_adapter_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULL_ADAPTERS", raising=False)
    assert call("POST", LOAD, {"lora_path": "/etc"}).status_code == 403
    assert call("POST", LOAD, json.loads("[]")).status_code == 403
