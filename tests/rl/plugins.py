"""Rewards of the tests' own, named in recipes by dotted path."""

import os
import signal
from typing import Any


def parity(prompts: Any, completions: Any, completion_ids: Any, trainer_state: Any, **_: Any) -> list[float]:
    """Something that differs within a group; kills its own process in step MULL_TEST_KILL, if that is set."""
    step = trainer_state.global_step + 1 if trainer_state else 0  # none in the check before a run
    if str(step) == os.environ.get("MULL_TEST_KILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    if str(step) == os.environ.get("MULL_TEST_TERM"):
        os.kill(os.getpid(), signal.SIGTERM)
    return [float(sum(ids) % 3) for ids in completion_ids]
