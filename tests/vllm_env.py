"""How the tests start vLLM on a shared CPU: one thread, little memory, no telemetry; and its server on loopback."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(words: Sequence[str], port: int, log: Path, **variables: str) -> Iterator[Any]:
    """An `openai` client of the server that the command `words` starts at `port`; the server ends with the block."""
    import openai

    environment = os.environ | ENVIRONMENT | variables
    with (
        log.open("w") as out,
        subprocess.Popen(words, stdout=out, stderr=out, env=environment, cwd=ROOT) as server,
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=120) as client,
    ):
        try:
            deadline = time.monotonic() + 500
            while not answers(client):
                assert server.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                time.sleep(1)
            yield client
        finally:
            server.terminate()
            server.wait(60)


def answers(client: Any) -> bool:
    """Whether the server is up."""
    import openai

    try:
        client.models.list()
    except openai.APIConnectionError:
        return False
    return True
