"""How the tests start vLLM on a shared CPU: one thread, little memory, no telemetry; and its server on loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import distributions
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
def vllm_serve(model: Path, folder: Path, *options: str) -> Iterator[Any]:
    """An `openai` client of `vllm serve` on a model (fp32, context 300), called `tiny` there; `folder` gets its log."""
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(model), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "300"]
    command += ["--enforce-eager", "--generation-config", "vllm", "--max-num-seqs", "8", *options]
    command += ["--no-enable-chunked-prefill"]  # vLLM 0.30 crashes on a seeded request's chunk on a CPU
    paths = [ROOT] if any(distributions(name="vllm")) else [ROOT, distribution_named_vllm(folder / "named")]
    with serving(command, port, folder / "log", PYTHONPATH=os.pathsep.join(map(str, paths))) as client:
        yield client


def distribution_named_vllm(folder: Path) -> Path:
    """For vllm-cpu: its `vllm` command asks for the version of a distribution called vllm, which it is not."""
    info = folder / "vllm-0.30.0+cpu.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.30.0+cpu\n", encoding="utf-8")
    return folder


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
