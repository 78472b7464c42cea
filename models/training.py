"""What `sft.train` and `rl.grpo` share: TRL arguments, metrics, progress, checkpoints, the saved product."""

import math
import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from configs.errors import ConfigError, RunError
from configs.rundir import RunDir, append_jsonl, keep_jsonl
from configs.schema import EngineConfig, TrackingConfig, TrainingConfig
from data.think import ThinkFormat
from models.engine import Engine, load_engine
from models.load import LoadedModel
from report.training import write_report

BATCH = 100
"""Most sequences that a training command decodes together."""

RENAMED = {
    "completions/mean_length": "completion_tokens",
    "completions/max_length": "completion_tokens_max",
    "completions/clipped_ratio": "truncated_share",
    "frac_reward_zero_std": "zero_variance_share",
    "mean_token_accuracy": "token_accuracy",
}
"""TRL's metric name → ours."""


def trainer_arguments(config_class: type, config: TrainingConfig, run: RunDir, **decided: Any) -> Any:
    """An instance of TRL's `config_class` from `config.trainer`, with the fields that other sections decide."""
    import torch

    defaults: dict[str, Any] = {"logging_steps": 1, "logging_first_step": True, "save_strategy": "no"}
    if not torch.cuda.is_available():
        # the model's own dtype is computed in; autocast and checkpointing only cost time on a CPU
        defaults |= {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}
    fixed = {
        "output_dir": str(run / "checkpoints"),
        "seed": config.seed,
        "report_to": "none" if config.tracking.to == "none" else config.tracking.to,
        "run_name": run.path.name,
        "disable_tqdm": True,
        **decided,
    }
    set_tracking(config.tracking, run)
    try:
        return config_class(**(defaults | config.trainer | fixed))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"trainer: {error}") from error


def set_tracking(tracking: TrackingConfig, run: RunDir) -> None:
    """Trackers are configured through the environment; a variable that the user has set wins."""
    if tracking.to == "wandb":
        os.environ.setdefault("WANDB_PROJECT", tracking.project)
        os.environ.setdefault("WANDB_MODE", tracking.mode)
        os.environ.setdefault("WANDB_DIR", str(run.path))
    elif tracking.to == "trackio":
        os.environ.setdefault("TRACKIO_PROJECT", tracking.project)
    elif tracking.to == "tensorboard":
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(run / "tensorboard"))


def metrics_row(step: int, logs: dict[str, Any], seconds: float) -> dict[str, Any]:
    """TRL's log entry as one row of `metrics.jsonl`: our names, and null where TRL has NaN."""
    row: dict[str, Any] = {"step": step, "step_seconds": round(seconds, 3)}
    for key, value in logs.items():
        name = RENAMED.get(key, key.removesuffix("/mean") if key.startswith("rewards/") else key)
        row[name] = None if isinstance(value, float) and not math.isfinite(value) else value
    return row


class RunCallback(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """Writes `metrics.jsonl` and shows progress: a bar on a terminal, a line a step elsewhere."""

    def __init__(self, run: RunDir, shown: tuple[str, ...]) -> None:
        self.run, self.shown = run, shown
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.alarms: list[str] = []
        """Raised since the last row; they go into it and onto the progress line."""
        self.started = self.seconds = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the bar at the step that a resumed run has reached."""
        if state.is_world_process_zero:
            self.task = self.bar.add_task("train", total=state.max_steps, completed=state.global_step, metrics="")
            self.bar.start()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A step's clock starts before its rollouts."""
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """And ends after the optimizer."""
        self.seconds = time.perf_counter() - self.started

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """One row a step; the closing summary (`train_runtime`) is no step."""
        if not state.is_world_process_zero or "train_runtime" in logs:
            return
        row = metrics_row(state.global_step, logs, self.seconds)
        if self.alarms:
            row["alarms"], self.alarms = self.alarms, []
        append_jsonl(self.run / "metrics.jsonl", row)
        shown = "  ".join(f"{name} {row[name]:.3g}" for name in self.shown if row.get(name) is not None)
        text = "  ".join([shown, *(f"ALARM {alarm}" for alarm in row.get("alarms", []))])
        self.bar.update(self.task, completed=state.global_step, metrics=text)
        if self.bar.disable:
            self.console.print(
                f"step {state.global_step}/{state.max_steps}  {self.seconds:.1f} s  {text}", soft_wrap=True
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave the finished bar on the screen."""
        if state.is_world_process_zero:
            self.bar.stop()


def train(trainer: Any, run: RunDir, resume: bool) -> None:
    """Train with our progress line instead of the library's own printing."""
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=checkpoint_to_resume(run) if resume else None)


def checkpoint_to_resume(run: RunDir) -> str:
    """The last whole checkpoint of `run`; rows of later steps leave its logs. Raises `RunError` if there is none."""
    folder = run / "checkpoints"
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    while found and not (Path(found) / "trainer_state.json").is_file():  # cut off while it was being written
        Path(found).rename(Path(found).with_name(f"incomplete-{Path(found).name}"))
        found = get_last_checkpoint(str(folder))
    if not found:
        raise RunError(f"--resume: {folder} holds no checkpoint (trainer.save_steps sets how often one is written)")
    step = int(Path(found).name.rpartition("-")[2])
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        keep_jsonl(run / name, lambda row: int(row["step"]) <= step)
    return str(found)


def engine_of(loaded: LoadedModel, config: TrainingConfig, think_format: ThinkFormat) -> Engine:
    """An engine on the very weights that are trained."""
    return load_engine(EngineConfig(batch_size=BATCH), config.model, think_format, loaded)


def save_product(model: Any, tokenizer: Any, run: RunDir) -> Path:
    """The trained adapter (or the whole model) with tokenizer and chat template; returns its folder."""
    folder = run / ("adapter" if hasattr(model, "peft_config") else "model")
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


def finish(run: RunDir, product: Path) -> None:
    """Write the report and say where everything is."""
    report = write_report(run.path)
    print(f"{product.name}: {product}")
    print(f"report: {report} (open it in a browser; it needs no network)")
