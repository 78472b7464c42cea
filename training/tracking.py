"""Trackers: which package each needs, and the environment that tells it project, mode and folder."""

import importlib.metadata
import importlib.util
import os

from configs.errors import ConfigError
from configs.run_directory import RunDir
from configs.schema.training import TrackingConfig

OURS = "'mull-reasoning[tracking]'"
PACKAGES = {
    "wandb": (("wandb",), OURS),
    "tensorboard": (("tensorboard", "tensorboardX"), OURS),
    "trackio": (("trackio",), OURS),
    "swanlab": (("swanlab",), "'mull-reasoning[swanlab]'"),
}
"""Tracker → (packages, any of which it runs on; what pip installs)."""
SWANLAB = "0.7."
"""The last versions whose `get_run()` is None before a run, as the callback of Transformers 5.17 expects."""


def check_tracker(tracking: TrackingConfig) -> None:
    """Raise `ConfigError` where the tracker is not installed, or is one that Transformers can't drive."""
    names, wanted = PACKAGES.get(tracking.to, ((), ""))
    remedy = f"run `pip install {wanted}`, or set tracking.to=none"
    if names and not any(importlib.util.find_spec(name) for name in names):
        raise ConfigError(f"tracking.to: {tracking.to} is not installed; {remedy}")
    if tracking.to == "swanlab" and not (version := importlib.metadata.version("swanlab")).startswith(SWANLAB):
        raise ConfigError(f"tracking.to: swanlab {version} is none that Transformers drives ({SWANLAB}x is); {remedy}")


def set_tracking(tracking: TrackingConfig, run: RunDir) -> None:
    """Trackers are configured through the environment; a variable that the user has set wins."""
    settings = {
        "wandb": {
            "WANDB_PROJECT": tracking.project,
            "WANDB_MODE": tracking.mode,
            "WANDB_DIR": str(run.path),
        },
        "swanlab": {
            "SWANLAB_PROJECT": tracking.project,
            "SWANLAB_MODE": "cloud" if tracking.mode == "online" else tracking.mode,
            "SWANLAB_LOG_DIR": str(run / "swanlog"),
        },
        "trackio": {"TRACKIO_PROJECT": tracking.project},
        "tensorboard": {"TENSORBOARD_LOGGING_DIR": str(run / "tensorboard")},
    }
    for name, value in settings.get(tracking.to, {}).items():
        os.environ.setdefault(name, value)
