"""An OpenAI-compatible server on loopback that answers as a test says."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behave = Callable[[dict[str, Any]], tuple[int, Any]]
"""The body of a request → (HTTP status, the body of the answer)."""


class ChatServer(ThreadingHTTPServer):
    """`bodies`: every request so far, with its `path` and its `key`."""

    request_queue_size = 256

    def __init__(self, behave: Behave) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behave, self.bodies, self.lock = behave, list[dict[str, Any]](), threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def asked(self) -> Counter[str]:
        """How often each last message came."""
        return Counter(body["messages"][-1]["content"] for body in self.bodies)


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body | {"path": self.path, "key": self.headers.get("Authorization")})
        status, reply = self.server.behave(body)
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def chat_server(behave: Behave) -> Iterator[ChatServer]:
    """A server that answers with `behave` for as long as the block lasts."""
    server = ChatServer(behave)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def completion(text: str, finish: str = "stop", reasoning: str | None = None) -> dict[str, Any]:
    """The body of a chat completion."""
    message = {"content": text} | ({"reasoning_content": reasoning} if reasoning else {})
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": {"completion_tokens": 3}}
