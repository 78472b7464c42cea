"""Trackers: what is missing is named before anything is loaded, and what is set reaches them."""

import importlib.util
import os
from contextlib import nullcontext
from pathlib import Path
from typing import get_args

import pytest

from configs.errors import ConfigError
from configs.recipe import load_recipe
from configs.run_directory import RunDir
from configs.schema.training import TrackingConfig
from rl.grpo import train_grpo
from sft.train import train_sft
from training.tracking import PACKAGES, check_tracker, set_tracking


def test_every_tracker_has_its_package() -> None:
    assert {*PACKAGES, "none"} == set(get_args(TrackingConfig.model_fields["to"].annotation))


@pytest.mark.parametrize("train", [train_sft, train_grpo])
@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_missing_tracker_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: type, name: str) -> None:
    installed = importlib.util.find_spec
    missing = PACKAGES[name][0]
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda one, *rest: None if one in missing else installed(one, *rest)
    )
    with pytest.raises(ConfigError, match=rf"^tracking\.to: {name} is not installed; run `pip install 'mull-"):
        train("demo.yaml", [f"output_dir={tmp_path / 'run'}", f"tracking.to={name}"])
    assert not (tmp_path / "run").exists()


def test_no_tracker_needs_no_package() -> None:
    check_tracker(load_recipe("sft", "demo").tracking)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wandb", {"WANDB_PROJECT": "p", "WANDB_MODE": "offline", "WANDB_DIR": "{run}"}),
        ("swanlab", {"SWANLAB_PROJECT": "p", "SWANLAB_MODE": "offline", "SWANLAB_LOG_DIR": "{run}/swanlog"}),
        ("trackio", {"TRACKIO_PROJECT": "p"}),
        ("tensorboard", {"TENSORBOARD_LOGGING_DIR": "{run}/tensorboard"}),
        ("none", {}),
    ],
)
def test_environment_tells_the_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: dict[str, str]
) -> None:
    before: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", before)
    tracking = TrackingConfig.model_validate({"to": name, "project": "p", "mode": "offline"})
    set_tracking(tracking, RunDir(tmp_path))
    assert before == {key: value.format(run=tmp_path) for key, value in expected.items()}
    set_tracking(tracking.model_copy(update={"project": "another"}), RunDir(tmp_path))
    assert before.get(f"{name.upper()}_PROJECT") == expected.get(f"{name.upper()}_PROJECT")  # what is set wins


@pytest.mark.parametrize(("version", "is_driven"), [("0.7.20", True), ("0.10.3", False)])
def test_swanlab_that_transformers_cannot_drive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, is_driven: bool
) -> None:
    folder = tmp_path / f"swanlab-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: swanlab\nVersion: {version}\n")
    (tmp_path / "swanlab.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    refused = pytest.raises(ConfigError, match=r"swanlab 0\.10\.3 is none that Transformers drives \(0\.7\.x is\); run")
    with nullcontext() if is_driven else refused:
        check_tracker(TrackingConfig(to="swanlab"))


@pytest.mark.engine
def test_transformers_knows_every_tracker() -> None:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(PACKAGES) <= set(INTEGRATION_TO_CALLBACK)
