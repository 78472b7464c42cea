"""Ends a vLLM in a process of its own that hangs alive: one that lets this process wait too long for its next step."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICKS = 10
"""Looks in the time that it may be silent; not a clock, as a process that was itself stopped would find too much."""


class Watchdog:
    """Calls `end` once when one wait takes `silence` seconds; between waits it may take as long as it likes.

    `has_bitten`: it was called.
    """

    def __init__(self, silence: float, end: Callable[[], None]) -> None:
        self.silence, self.end = silence, end
        self.has_bitten = False
        self._waits = 0
        self._is_waiting = False

    @contextmanager
    def watching(self) -> Iterator["Watchdog"]:
        """Inside, a thread looks at the waits."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), name="vllm-watchdog", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A wait for vLLM."""
        self._waits += 1
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False

    def _watch(self, over: threading.Event) -> None:
        wait, silent = 0, 0
        while not over.wait(self.silence / TICKS):
            silent = silent + 1 if self._is_waiting and self._waits == wait else 0
            wait = self._waits
            if silent >= TICKS:
                self.has_bitten = True
                self.end()
                return
