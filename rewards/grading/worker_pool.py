"""Warm grader processes with a limit on wall-clock time and memory, and a kill that works.

Each of the pool's threads owns one process (`rewards.grading.worker`) and hands it one task at a time, so the clock of
a task starts when a ready process gets it: neither queueing nor booting counts, and a process that the machine left
without a CPU for most of its time gets that time again. A process that overruns its limit or dies is killed, its task
yields None with a reason, and a fresh one takes over. A process remembers what it parsed, so one gold answer's tasks go
to one process where there is work for all. No signal handler and no event loop is involved, so any thread may call,
also under asyncio; processes are started by exec, never by fork, so a parent full of torch threads is safe, and a
forked child (a data loader) finds an empty pool and starts its own.
"""

import atexit
import contextlib
import json
import math
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from configs.errors import RewardError
from rewards.grading.math.equivalence import Equivalence

MEMORY_MB = 1024
BOOT_SECONDS = 120.0
_MOST_PROCESSES = 8
_MOST_EXTENSIONS = 8  # times the limit, for a process that gets no CPU
_SHARES = 4  # of a batch, for each process

_Task = tuple[Future[Equivalence], dict[str, Any], float]
"""Where the verdict goes, the pair, and its limit in seconds."""


class _Died(Exception):
    """The process ended or closed its pipe."""


class _Process:
    """One worker process and its two pipes."""

    def __init__(self, memory_mb: int) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "rewards.grading.worker", str(memory_mb), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._requests, self._replies = self._popen.stdin, self._popen.stdout
        self._buffer = b""
        self._is_ready = False

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_until_ready(self) -> None:
        """Let it boot; raises RewardError when it can't."""
        if self._is_ready:
            return
        try:
            ready = self._read(BOOT_SECONDS)
        except (_Died, TimeoutError) as error:
            raise RewardError(
                "a grader process did not start; try `python -m rewards.grading.worker 1024 $$`"
            ) from error
        if "error" in ready:
            raise RewardError(f"a grader process did not start: {ready['error']}")
        self._is_ready = True

    def ask(self, task: dict[str, Any], timeout: float) -> Equivalence:
        """The verdict on `task`; raises `TimeoutError` or `_Died`."""
        try:
            self._requests.write(json.dumps({**task, "timeout": timeout}).encode() + b"\n")
        except OSError as error:
            raise _Died from error
        begun = self._cpu_seconds()
        for _ in range(_MOST_EXTENSIONS):
            try:
                reply = self._read(timeout)
            except TimeoutError:
                if not self._cpu_seconds() - begun < timeout / 2:  # also where neither is known
                    raise
            else:
                return Equivalence(reply["correct"], reply["reason"])
        raise TimeoutError

    def stop(self) -> None:
        """End the process at once; whoever reads from it sees the end of the pipe."""
        self._popen.kill()

    def reap(self) -> None:
        """End the process and leave nothing of it."""
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):
                pipe.close()

    def forget(self) -> None:
        """In a forked child: let go of the parent's process without touching it."""
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):
                pipe.close()
        self._popen.returncode = 0  # so that Popen neither waits for it nor warns

    def _cpu_seconds(self) -> float:
        """CPU time of the process so far; infinite where the system does not say, so that nothing is extended."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return math.inf
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _read(self, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        while b"\n" not in self._buffer:
            left = max(0.0, deadline - time.monotonic())
            if not poll.poll(left * 1000):
                raise TimeoutError
            chunk = os.read(self._replies.fileno(), 65536)
            if not chunk:
                raise _Died
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        reply: dict[str, Any] = json.loads(line)
        return reply


class GraderPool:
    """At most `size` processes (default: one a core, 8 at most), started when tasks ask for them."""

    def __init__(self, size: int | None = None, memory_mb: int = MEMORY_MB) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._size = size or min(cores, _MOST_PROCESSES)
        self._memory_mb = memory_mb
        self._tasks: queue.SimpleQueue[list[_Task] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._processes: dict[int, _Process] = {}  # by thread number
        self._closed = False

    def judge(self, pairs: Sequence[tuple[str, str]], timeout: float) -> list[Equivalence]:
        """Verdicts on (gold, answer) pairs, each within `timeout` seconds of its own start."""
        futures: list[Future[Equivalence]] = [Future() for _ in pairs]
        with self._lock:
            if self._closed:
                raise RewardError("the grader pool is closed")
            by_gold: dict[str, list[_Task]] = {}
            for future, (gold, answer) in zip(futures, pairs, strict=True):
                by_gold.setdefault(gold, []).append((future, {"gold": gold, "answer": answer}, timeout))
            share = -(-len(pairs) // (_SHARES * self._size))  # no more at once, so that no process waits for another
            for tasks in by_gold.values():
                for start in range(0, len(tasks), share):
                    self._tasks.put(tasks[start : start + share])
            for number in range(len(self._threads), min(self._size, len(pairs))):
                thread = threading.Thread(target=self._serve, args=(number,), name=f"grader-{number}", daemon=True)
                self._threads.append(thread)
                thread.start()
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:  # after Ctrl-C: what has not started will not
                future.cancel()

    def pids(self) -> list[int]:
        """Of the processes that are up, for tests and for `ps`."""
        with self._lock:
            return [process.pid for process in self._processes.values()]

    def close(self) -> None:
        """End every process and thread; pending tasks yield None."""
        with self._lock:
            self._closed = True
            for process in self._processes.values():
                process.stop()  # its thread reaps it
            for _ in self._threads:
                self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def forget(self) -> None:
        """In a forked child: drop the parent's processes."""
        for process in self._processes.values():
            process.forget()

    def _serve(self, number: int) -> None:
        """One thread's life: take a gold answer's tasks, have its process up, ask, and answer the futures."""
        while (tasks := self._tasks.get()) is not None:
            for future, task, timeout in tasks:
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(self._ask(number, task, timeout))
                except Exception as error:
                    future.set_exception(error)
        self._discard(number)

    def _ask(self, number: int, task: dict[str, Any], timeout: float) -> Equivalence:
        with self._lock:
            if self._closed:
                return Equivalence(None, "crash")
            process = self._processes.get(number)
            if process is None:
                process = self._processes[number] = _Process(self._memory_mb)
        try:
            process.wait_until_ready()
            verdict = process.ask(task, timeout)
        except RewardError:
            self._discard(number)
            raise
        except (TimeoutError, _Died) as error:
            self._discard(number)
            return Equivalence(None, "timeout" if isinstance(error, TimeoutError) else "crash")
        if verdict.reason == "memory":
            self._discard(number)
        return verdict

    def _discard(self, number: int) -> None:
        with self._lock:
            process = self._processes.pop(number, None)
        if process is not None:
            process.reap()


_pool: GraderPool | None = None
_pool_lock = threading.Lock()


def shared() -> GraderPool:
    """This process's pool, made on first use and ended with the process."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = GraderPool()
        return _pool


def stop_workers() -> None:
    """End this process's pool; the next use makes a new one."""
    global _pool
    with _pool_lock:
        pool, _pool = _pool, None
    if pool is not None:
        pool.close()


def _after_fork() -> None:
    global _pool, _pool_lock
    inherited, _pool, _pool_lock = _pool, None, threading.Lock()
    if inherited is not None:
        inherited.forget()


atexit.register(stop_workers)
os.register_at_fork(after_in_child=_after_fork)
