"""Checkpoints to go on from: the last whole one of a run, and the one that an error in the middle of a step leaves."""

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import get_last_checkpoint

from configs.run_directory import RunDir, keep_jsonl
from training.trainer_internals import CallbackHandler, callbacks_of, write_checkpoint


def checkpoint_to_resume(run: RunDir) -> str | None:
    """The last whole checkpoint of `run`, or None to start over. Rows of later steps leave the run's logs.

    `trainer_state.json` is what a checkpoint gets last: one without it, or with half of it, was cut off, and is set
    aside.
    """
    folder = run / "checkpoints"
    checkpoint = last_checkpoint(folder)
    while checkpoint and not is_whole(Path(checkpoint)):
        Path(checkpoint).rename(Path(checkpoint).with_name(f"incomplete-{Path(checkpoint).name}-{time.time_ns()}"))
        checkpoint = last_checkpoint(folder)
    step = saved_step(checkpoint) if checkpoint else -1  # what was measured before the first step is measured again
    if not checkpoint:
        print(
            "no whole checkpoint yet: this run starts from its beginning (trainer.save_steps: how often one is saved)"
        )
    for name in ("metrics.jsonl", "rollouts.jsonl", "alarms.jsonl"):
        keep_jsonl(run / name, lambda row: int(row["step"]) <= step)
    return checkpoint


def last_checkpoint(folder: Path) -> str | None:
    """The checkpoint of the latest step in a folder, whole or not; None without one."""
    checkpoint: str | None = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    return checkpoint


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end."""
    try:
        return bool(json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def saved_step(checkpoint: str) -> int:
    """The step after which a checkpoint was saved."""
    return int(Path(checkpoint).name.rpartition("-")[2])


class Rescue(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """Saves the last whole step when the next one fails.

    Until the optimizer steps, only random states have moved, and what callbacks remember (of `handler`).
    `boundary`: checkpoints fall on multiples of so many steps, where no drawn completions are left over.
    """

    def __init__(self, handler: CallbackHandler, boundary: int = 1) -> None:
        self.handler, self.boundary = handler, boundary
        self._step = 0
        self._states: RandomStates | None = None
        self._remembered: dict[str, dict[str, Any]] = {}

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """The step is whole from here on, though it is counted later."""
        self._keep(state.global_step + 1)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Other callbacks may have drawn numbers."""
        self._keep(state.global_step)

    def _keep(self, step: int) -> None:
        """Keep what a checkpoint of this step would hold and the next one changes."""
        if step % self.boundary == 0:
            self._step, self._states = step, random_states()
            self._remembered = {type(c).__name__: c.state() for c in exportable(self.handler)}

    def save(self, trainer: Trainer) -> int:
        """Save a checkpoint of the last whole step, unless it has one; returns the step of the last one, 0 for none.

        By all processes, which have failed in the same step (`training.together`).
        """
        step = trainer.state.global_step
        folder = Path(trainer.args.output_dir)
        is_known = step > 0 and step == self._step
        [is_saved] = broadcast_object_list([is_whole(folder / f"checkpoint-{step}")])
        if is_known and self._states and not is_saved:
            set_random_states(self._states)
            write_checkpoint(trainer)
            if PartialState().is_main_process:
                path = folder / f"checkpoint-{step}" / "trainer_state.json"
                state = TrainerState.load_from_json(str(path))
                state.stateful_callbacks |= self._remembered
                state.save_to_json(str(path))
        PartialState().wait_for_everyone()
        checkpoint = last_checkpoint(folder)
        return saved_step(checkpoint) if checkpoint else 0


class Newcomers(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """Lets a resumed run save callbacks that its checkpoint knows nothing of, which the library looks up by name."""

    def __init__(self, handler: CallbackHandler) -> None:
        self.handler = handler

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Each saves itself in its place."""
        for callback in exportable(self.handler):
            state.stateful_callbacks.setdefault(type(callback).__name__, {})


def exportable(handler: CallbackHandler) -> list[ExportableState]:
    """The callbacks that checkpoints hold."""
    return [callback for callback in callbacks_of(handler) if isinstance(callback, ExportableState)]


@dataclass(frozen=True, slots=True)
class RandomStates:
    """States of every random generator that a checkpoint holds; `gpus`: one a device."""

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    torch: torch.Tensor
    gpus: list[torch.Tensor]


def random_states() -> RandomStates:
    """The states as they are now."""
    return RandomStates(
        python=random.getstate(),
        numpy=numpy.random.get_state(legacy=False),
        torch=torch.get_rng_state(),
        gpus=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    )


def set_random_states(states: RandomStates) -> None:
    """Put back what `random_states` returned."""
    random.setstate(states.python)
    numpy.random.set_state(states.numpy)
    torch.set_rng_state(states.torch)
    if states.gpus:
        torch.cuda.set_rng_state_all(states.gpus)
