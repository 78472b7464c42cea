"""A grader process: reads one (gold, answer) a line from stdin, writes one verdict a line to stdout, ends with stdin.

Started by `rewards.pool` as `python -m rewards.worker MEMORY_MB`. It limits its own memory, can write no file, and sets
a timer in the kernel that kills it when it has computed well beyond the parent's own limit, so that not even a
parent that died leaves a computing orphan behind. Nothing of an answer is executed: see `rewards.equivalence`.
"""

import json
import os
import resource
import signal
import sys
from typing import Any, TextIO

GRACE_SECONDS = 5.0
_NEARLY_ALL = 0.85


def main() -> None:
    """Serve until stdin ends; a line `{"ready": true}` (or `{"error": …}`) comes first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not look like a verdict
    _limit(int(sys.argv[1]))
    try:
        from rewards.equivalence import equivalent

        equivalent("x + 1", "1 + x")  # the parser builds its tables on first use; booting is not on the clock
    except Exception as error:
        _write(replies, {"error": f"{type(error).__name__}: {error}"})
        return
    _write(replies, {"ready": True})
    for line in sys.stdin:
        task = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, task["timeout"] + GRACE_SECONDS)  # CPU time; its signal ends the process
        try:
            correct, reason = equivalent(task["gold"], task["answer"])
        except MemoryError:
            correct, reason = None, "memory"
        except RecursionError:
            correct, reason = None, "refused: nested too deep"
        signal.setitimer(signal.ITIMER_PROF, 0)
        if not correct and _memory_is_used_up():
            correct, reason = None, "memory"  # math-verify swallows a MemoryError and says "different"
        _write(replies, {"correct": correct, "reason": reason})
        if reason == "memory":
            return  # a fresh process is cheaper than a fragmented one


def _limit(memory_mb: int) -> None:
    """No more than `memory_mb` MiB of address space, no file, no core dump."""
    size = memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _memory_is_used_up() -> bool:
    """Whether the process ever held nearly all that it may."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak > _NEARLY_ALL * limit


def _write(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
