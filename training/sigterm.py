"""SIGTERM, as schedulers send it before they take a machine away: finish the step, save, leave."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SAME_ORDER = 5.0
"""Seconds in which a second SIGTERM is the first one again: a scheduler sends it to every process, and a launcher hands
its own on."""
STOPPED = 128 + signal.SIGTERM
"""The exit code of a run that a SIGTERM ended."""


class Interrupt(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """Ends training with a checkpoint after the step in which a SIGTERM came; a later second one kills at once.

    `boundary`: checkpoints fall on multiples of so many steps, where no drawn completions are left over.
    """

    def __init__(self, boundary: int = 1) -> None:
        self.boundary = boundary
        self.is_ending = False
        """Whether a SIGTERM has come."""
        self.stopped_at: int | None = None
        self._told_at = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, SIGTERM is noted instead of killing."""
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.is_ending:
            self.is_ending, self._told_at = True, time.monotonic()
        elif time.monotonic() - self._told_at > SAME_ORDER:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Every process stops if one got the signal."""
        if PartialState().num_processes > 1:
            self.is_ending = any(gather_object([self.is_ending]))
        if self.is_ending and state.global_step % self.boundary == 0:
            control.should_save = control.should_training_stop = True
            self.stopped_at = state.global_step
