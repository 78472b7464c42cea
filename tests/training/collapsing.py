"""`rl.grpo` with a learning rate that jumps, so that the policy collapses; started by `test_watch.py`.

MULL_TEST_KILL_SAVING names the step whose checkpoint is never written: the process is killed when it begins to be.
"""

import os
import signal
from typing import Any

from transformers import Trainer

from configs.command import run_command
from rl import run
from rl.grpo import main
from training.run_callback import RunCallback

AFTER, FACTOR = 8, 60


class Collapsing(RunCallback):
    """The learning rate times `FACTOR` after step `AFTER`."""

    def on_step_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        super().on_step_begin(args, state, control)
        if state.global_step >= AFTER:
            for group in optimizer.param_groups:  # the scheduler sets it anew after every step
                group["lr"] *= FACTOR


def kill_at_save(step: str) -> None:
    """Have the process killed when it begins to save the checkpoint of `step`."""
    save = Trainer._save_checkpoint

    def saved(trainer: Trainer, *args: Any) -> None:
        if str(trainer.state.global_step) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        save(trainer, *args)

    Trainer._save_checkpoint = saved


if __name__ == "__main__":
    run.RunCallback = Collapsing  # type: ignore[attr-defined] # where a run takes it from
    if step := os.environ.get("MULL_TEST_KILL_SAVING"):
        kill_at_save(step)
    run_command(main)
