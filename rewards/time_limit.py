"""A limit in seconds for a call that nothing else limits: a reward of the user's own that blocks.

The call stays on the main thread, with the signals, the thread's own state and the CUDA device that it expects (grading
with math-verify, for one, works nowhere else). Another thread watches the clock and interrupts it by a signal: SIGURG,
which a process ignores unless it says otherwise, so that a late one does no harm.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

Result = TypeVar("Result")

GRACE = 30
"""Signals, one a second, before a call that heeds none is ended together with the process."""


class Overrun(BaseException):
    """The call took too long. No `Exception`, so that the call's own `except Exception` lets it pass."""

    @property
    def place(self) -> str:
        """Where the call was."""
        at = traceback.extract_tb(self.__traceback__)[-2]  # the last one is the signal handler
        return f"{at.name}, {os.path.basename(at.filename)}:{at.lineno}"


def within(seconds: float | None, call: Callable[[], Result], last_words: str) -> Result:
    """`call()`; raises `Overrun` inside it after `seconds`. On another thread than the main one there is no limit.

    `last_words` are printed where the call can't be interrupted, because it is stuck outside Python, or catches all.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        return call()
    done = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not done.is_set():
            raise Overrun

    before = signal.signal(signal.SIGURG, interrupt)
    threading.Thread(target=_watch, args=(done, seconds, last_words), name="time-limit", daemon=True).start()
    try:
        try:
            return call()
        finally:
            done.set()
    finally:
        done.set()  # again: the signal may have come just before it was set
        signal.signal(signal.SIGURG, before or signal.SIG_DFL)


def _watch(done: threading.Event, seconds: float, last_words: str) -> None:
    """Interrupt the main thread again and again: what cleans up after the call (a pool's threads) may block as well."""
    main = threading.main_thread().ident
    assert main is not None
    if done.wait(seconds):
        return
    for _ in range(GRACE):
        signal.pthread_kill(main, signal.SIGURG)
        if done.wait(1.0):
            return
    print(f"error: {last_words}", file=sys.stderr, flush=True)
    os._exit(2)
