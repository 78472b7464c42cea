"""The same engine in several processes, each on devices of its own: requests are dealt out, a process takes its part.

This is how vLLM does data parallelism offline, for which `vllm.LLM` has no option (its example
`data_parallel_offline.py`).
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from configs.errors import EngineError, MullError
from data.think_format import ThinkFormat
from models.engines.base import Engine
from models.engines.job import Decoded, Job
from models.engines.sharing import families_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Replicas(Engine):
    """`count` engines behind one; samples are as from one of them, whatever their number."""

    def __init__(
        self,
        start: Callable[[], Engine],
        tokenizer: "PreTrainedTokenizerBase",
        think_format: ThinkFormat,
        count: int,
        devices: int = 1,
    ) -> None:
        """Start them all at once, each on `devices` of its own.

        `start` runs in each replica's process, so it has to be picklable. Raises `EngineError` where devices are
        missing or a replica can't start.
        """
        context = multiprocessing.get_context("spawn")
        self.processes: list[Any] = []
        self.pipes: list[Connection] = []
        try:
            for visible in device_sets(visible_devices(), count, devices):
                pipe, theirs = context.Pipe()
                # not a daemon: vLLM starts a process of its own; the end of the pipe ends it
                process = context.Process(target=run_replica, args=(theirs, start))
                with only(visible):
                    process.start()
                theirs.close()
                self.processes.append(process)
                self.pipes.append(pipe)
            started = [self._receive(at) for at in range(count)]
        except BaseException:
            self.close()
            raise
        self.name, self.about, tokens, eos = started[0]
        super().__init__(tokenizer, think_format, tokens, eos)

    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        """See `Engine.decode`; a family of jobs stays together, and so do the samples of a request: prefix caches."""
        count = len(self.pipes)
        parts: list[list[int]] = [[] for _ in range(count)]
        for family in families_of(jobs):
            parts[jobs[family[0]].request % count] += family
        for pipe, part in zip(self.pipes, parts, strict=True):
            pipe.send([jobs[at] for at in part])
        busy = dict(zip(self.pipes, range(count), strict=True))
        while busy:
            for replica in [busy[pipe] for pipe in wait(list(busy)) if isinstance(pipe, Connection)]:
                message = self._receive(replica)
                if message is None:
                    del busy[self.pipes[replica]]
                else:
                    decoded(parts[replica][message[0]], message[1])

    def close(self) -> None:
        """End every replica."""
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(timeout=10)
            process.terminate()

    def _receive(self, replica: int) -> Any:
        """The next message of a replica. Raises `EngineError` for an error of its own, or its death."""
        try:
            message = self.pipes[replica].recv()
        except (EOFError, ConnectionError):
            self.processes[replica].join(timeout=10)
            code = self.processes[replica].exitcode
            raise EngineError(f"engine: replica {replica} ended with exit code {code}; its log is above") from None
        if isinstance(message, str):
            raise EngineError(f"engine: replica {replica}: {message}")
        return message


def run_replica(pipe: Connection, start: Callable[[], Engine]) -> None:
    """A replica: says what it is; then takes lists of jobs and sends (index, outcome) for each, and None at the end."""
    try:
        engine = start()
        pipe.send((engine.name, engine.about, engine.context, engine.eos))
        while True:
            jobs = pipe.recv()
            if jobs:
                engine.decode(jobs, lambda at, outcome: pipe.send((at, outcome)))
            pipe.send(None)
    except (EOFError, ConnectionError):  # closed, or the parent is gone
        engine.close()
    except MullError as error:
        pipe.send(str(error))


def visible_devices() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them; empty on a machine without one."""
    import torch

    if not torch.cuda.is_available():
        return []
    allowed = os.environ.get(VISIBLE)
    return allowed.split(",") if allowed else [str(at) for at in range(torch.cuda.device_count())]


def device_sets(devices: Sequence[str], count: int, each: int) -> list[list[str]]:
    """`each` of the `devices` for each of `count` engines; none where there are none.

    Raises `EngineError` if they are too few.
    """
    if devices and len(devices) < count * each:
        raise EngineError(
            f"engine: {count} at once on {each} GPU(s) each (data_parallel × tensor_parallel, or the processes that "
            f"were launched) need {count * each} GPUs; here are {len(devices)}"
        )
    return [list(devices[at * each : (at + 1) * each]) for at in range(count)]


def launched_devices(environment: Mapping[str, str], devices: Callable[[], Sequence[str]]) -> list[str]:
    """The GPU of one of several processes that a launcher has started on this machine; empty where it is alone.

    vLLM starts on the first GPU that it sees, whatever `LOCAL_RANK` says. `devices` is not asked where the process is
    alone: `torch.cuda.is_available` may touch CUDA, after which no process forked from here can use it. Raises
    `EngineError` without one for each.
    """
    count = int(environment.get("LOCAL_WORLD_SIZE", "1"))
    return device_sets(devices(), count, 1)[int(environment["LOCAL_RANK"])] if count > 1 else []


@contextmanager
def only(devices: Sequence[str]) -> Iterator[None]:
    """Processes started inside see these devices alone."""
    before = os.environ.get(VISIBLE)
    if devices:
        os.environ[VISIBLE] = ",".join(devices)
    try:
        yield
    finally:
        if devices and before is None:
            del os.environ[VISIBLE]
        elif before is not None:
            os.environ[VISIBLE] = before
