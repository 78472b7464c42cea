"""A grader process: reads one (gold, answer) a line from stdin, writes one verdict a line to stdout, ends with stdin.

Started by `rewards.grading.worker_pool` as `python -m rewards.grading.worker MEMORY_MB PARENT_PID`. It limits the
memory that an answer may take, can write no file, and asks the kernel to kill it when its parent is gone (Linux) and
when it has computed well beyond the parent's own limit (everywhere), so that no computing orphan stays behind. Nothing
of an answer is executed: see `rewards.grading.math_verify_worker`.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

GRACE_SECONDS = 5.0
_NEARLY_ALL = 0.85
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Serve until stdin ends; a line `{"ready": true}` (or `{"error": …}`) comes first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not look like a verdict
    _end_with_parent(int(sys.argv[2]))
    _write_no_file()
    try:
        from rewards.grading.math_verify_worker import equivalent

        equivalent("x + 1", "1 + x")  # the parser builds its tables on first use; booting is not on the clock
    except Exception as error:
        _write(replies, {"error": f"{type(error).__name__}: {error}"})
        return
    booted, allowance = _peak_bytes(), int(sys.argv[1]) * 2**20
    _write(replies, {"ready": True})
    for line in sys.stdin:
        correct, reason = _judged(json.loads(line), booted, allowance)
        _write(replies, {"correct": correct, "reason": reason})
        if reason == "memory":
            return  # a fresh process is cheaper than a fragmented one


def _judged(task: dict[str, Any], booted: int, allowance: int) -> tuple[bool | None, str]:
    """(verdict, reason); the answer may take `allowance` bytes beyond the `booted` process's."""
    from rewards.grading.math_verify_worker import equivalent

    signal.setitimer(signal.ITIMER_PROF, task["timeout"] + GRACE_SECONDS)  # CPU time; its signal ends the process
    try:
        with _memory_limit(booted + allowance):
            correct, reason = equivalent(task["gold"], task["answer"])
    except MemoryError:
        return None, "memory"
    except RecursionError:
        return None, "refused: nested too deep"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if correct is False and _peak_bytes() > booted + _NEARLY_ALL * allowance:
        return None, "memory"  # math-verify swallows a MemoryError and says "different"
    return correct, reason


def _end_with_parent(parent: int) -> None:
    """Have the kernel kill this process with the thread that started it; end at once if that is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def _write_no_file() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def _memory_limit(size: int) -> Iterator[None]:
    """No more than `size` bytes of address space inside; none outside, where the reply has to be written."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    within = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (within, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _peak_bytes() -> int:
    """The most address space that the process ever had; where the system does not say, the most memory."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmPeak:")) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _write(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
