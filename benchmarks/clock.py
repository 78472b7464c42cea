"""Seconds of a trainer's steps, for the scripts beside this file."""

import time
from typing import Any

import torch
from transformers import TrainerCallback


def now() -> float:
    """Seconds: of this process where torch has one thread, so that a shared machine's neighbours don't count."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """Seconds of every step, rollouts and optimizer included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Before the rollouts, or the forward pass."""
        self.started = now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """After the optimizer."""
        self.seconds.append(now() - self.started)
