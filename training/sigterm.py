"""SIGTERM, as schedulers send it before they take a machine away: finish the step, save, leave."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

STOPPED = 128 + signal.SIGTERM
"""The exit code of a run that a SIGTERM ended."""


class Interrupt(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """Ends training with a checkpoint after the step in which a SIGTERM came; a second one kills at once.

    `boundary`: checkpoints fall on multiples of so many steps, where no drawn completions are left over.
    """

    def __init__(self, boundary: int = 1) -> None:
        self.boundary = boundary
        self.is_ending = False
        """Whether a SIGTERM has come."""
        self.stopped_at: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, SIGTERM is noted instead of killing."""
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_ending = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Every process stops if one got the signal."""
        if PartialState().num_processes > 1:
            self.is_ending = any(gather_object([self.is_ending]))
        if self.is_ending and state.global_step % self.boundary == 0:
            control.should_save = control.should_training_stop = True
            self.stopped_at = state.global_step
