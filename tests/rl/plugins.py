"""Rewards of the tests' own, named in recipes by dotted path."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def judge(text: str) -> float:
    """Waits for a server that never answers."""
    here, there = socket.socketpair()
    with here, there:
        here.sendall(text.encode())
        return float(here.recv(1))


def interrupt(trainer_state: Any) -> int:
    """The step that is scored; MULL_TEST_KILL and MULL_TEST_TERM name the one in which the process is ended.

    MULL_TEST_FAIL names one in which the second process fails.
    """
    step = trainer_state.global_step + 1 if trainer_state else 0  # none in the check before a run
    if str(step) == os.environ.get("MULL_TEST_KILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    if str(step) == os.environ.get("MULL_TEST_TERM"):
        del os.environ["MULL_TEST_TERM"]  # once: a step may draw, and score, twice, and a second one kills
        os.kill(os.getpid(), signal.SIGTERM)
    if str(step) == os.environ.get("MULL_TEST_FAIL") and os.environ.get("RANK") == "1":
        raise ValueError("one process alone fails")
    return step


def parity(prompts: Any, completions: Any, completion_ids: Any, trainer_state: Any, **_: Any) -> list[float]:
    """Something that differs within a group; MULL_TEST_BLOCK names the step in which it blocks."""
    step = interrupt(trainer_state)
    if str(step) == os.environ.get("MULL_TEST_BLOCK"):
        with ThreadPoolExecutor() as pool:
            return list(pool.map(judge, completions))
    return [float(sum(ids) % 3) for ids in completion_ids]


def letters(prompts: Any, completions: Any, trainer_state: Any, **_: Any) -> list[float]:
    """How many letters are an "a"."""
    interrupt(trainer_state)
    return [float(text.count("a")) for text in completions]


def calculated(completions: Any, environments: Any, trainer_state: Any, **_: Any) -> list[float]:
    """How often a calculator was asked, and whether the last message is short: both as TRL hands them on."""
    interrupt(trainer_state)
    rows = zip(completions, environments, strict=True)
    return [len(calculator.values) + float(len(messages[-1]["content"]) < 2) for messages, calculator in rows]
