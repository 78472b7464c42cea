"""What a run says of its steps: rows of `metrics.jsonl`, and a bar or a line a step."""

import math
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from configs.progress import progress_bars
from configs.run_directory import RunDir, append_jsonl

RENAMED = {
    "completions/mean_length": "completion_tokens",
    "completions/max_length": "completion_tokens_max",
    "completions/clipped_ratio": "truncated_share",
    "frac_reward_zero_std": "zero_variance_share",
    "mean_token_accuracy": "token_accuracy",
}
"""TRL's metric name → ours."""


def metrics_row(step: int, logs: Mapping[str, float], seconds: float | None) -> dict[str, float | None]:
    """TRL's log entry as one row of `metrics.jsonl`, under our names.

    `seconds`: of the step; None for what is measured before the first one, of a resumed run too.
    """
    row: dict[str, float | None] = {"step": step}
    if seconds is not None:
        row["step_seconds"] = round(seconds, 3)
    for key, value in logs.items():
        if key.startswith("eval_") and key.endswith(("runtime", "_per_second", "num_tokens")):
            continue
        name = RENAMED.get(key, key.removesuffix("/mean") if key.startswith("rewards/") else key)
        row[name] = value
    return row


def finite(row: Mapping[str, float | None]) -> dict[str, float | None]:
    """The row with null in the place of what JSON has no number for."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }


def peak_memory() -> float:
    """GiB: the most that PyTorch has reserved on this process's GPU so far; without one, the most that it has held."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_reserved()) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


class RunCallback(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """Writes `metrics.jsonl` and shows progress: a bar on a terminal, a line a step elsewhere."""

    def __init__(self, run: RunDir, shown: tuple[str, ...]) -> None:
        self.run, self.shown = run, shown
        self.console = Console(stderr=True)
        self.bars = progress_bars(self.console)
        self.alarms: list[str] = []
        """Raised since the last row; they go into it and onto the progress line."""
        self.notes: list[str] = []
        """For the next progress line; beside a bar there is no room for them, so they stand above it."""
        self.extra: dict[str, float] = {}
        """Figures for the next row."""
        self.started = self.seconds = 0.0
        self.clock, self.steps = 0.0, 0
        """Seconds and steps since training began."""
        self.seconds_apart = 0.0
        """What is still to come between the steps, such as measurements: of the time left, and of no step's."""
        self.counted: tuple[float, float] = (0.0, 0)
        """(`clock`, tokens) at the last row."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Start the bar at the step that a resumed run has reached."""
        if state.is_world_process_zero:
            self.task = self.bars.add_task("step", total=state.max_steps, completed=state.global_step, note="")
            self.bars.start()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """A step's clock starts before its rollouts."""
        self.started = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """And ends after the optimizer."""
        self.seconds = time.perf_counter() - self.started
        self.clock, self.steps = self.clock + self.seconds, self.steps + 1

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: object
    ) -> None:
        """One row a step; the closing summary (`train_runtime`) is no step."""
        if not state.is_world_process_zero or "train_runtime" in logs:
            return
        seconds = self.seconds if self.steps else None
        memory = {} if seconds is None else {"peak_memory": round(peak_memory(), 3)}
        row = finite(metrics_row(state.global_step, logs, seconds) | self._throughput(logs) | memory | self.extra)
        alarms, notes = self.alarms, self.notes
        self.alarms, self.notes, self.extra = [], [], {}
        append_jsonl(self.run / "metrics.jsonl", row | ({"alarms": alarms} if alarms else {}))
        shown = "  ".join(f"{name} {row[name]:.3g}" for name in self.shown if row.get(name) is not None)
        self._show(state, shown, notes, [f"ALARM {alarm}" for alarm in alarms])

    def _show(self, state: TrainerState, figures: str, notes: Sequence[str], alarms: Sequence[str]) -> None:
        """Move the bar on, or print the step's line."""
        step = state.global_step
        self.bars.update(self.task, completed=step, note="  ".join([figures, *alarms]))
        if not self.bars.disable:
            for note in notes:
                self.console.print(f"step {step}  {note}", soft_wrap=True, highlight=False)
            return
        ahead = (state.max_steps - step) * self.clock / max(1, self.steps) + self.seconds_apart
        left = timedelta(seconds=round(ahead))
        text = "  ".join(filter(None, [figures, *notes, *alarms]))
        self.console.print(f"step {step}/{state.max_steps}  {self.seconds:.1f} s  left {left}  {text}", soft_wrap=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, other progress may be shown in place of the bar."""
        self.bars.stop()
        try:
            yield
        finally:
            self.bars.start()

    def _throughput(self, logs: Mapping[str, float]) -> dict[str, float]:
        """Tokens per second since the last row, padding not counted; SFT's loss rows alone have it."""
        (seconds, tokens), now = self.counted, logs.get("num_tokens", 0)
        if "loss" not in logs or "reward" in logs or self.clock == seconds or not now:
            return {}
        self.counted = self.clock, now
        return {"tokens_per_second": round((now - tokens) / (self.clock - seconds), 1)}

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Leave the finished bar on the screen."""
        if state.is_world_process_zero:
            self.bars.stop()
