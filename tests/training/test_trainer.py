"""TRL's arguments out of a recipe."""

from pathlib import Path

import pytest
from trl import GRPOConfig

from configs.errors import ConfigError
from configs.recipe import load_recipe
from configs.run_directory import RunDir
from training.run_callback import finite
from training.trainer import machine_defaults, trainer_arguments

pytestmark = pytest.mark.engine


def test_run_name_defaults_to_folder(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "third-try")
    assert trainer_arguments(GRPOConfig, load_recipe("grpo", "demo"), run).run_name == "third-try"
    named = load_recipe("grpo", "demo", ["trainer.run_name=mine"])
    assert trainer_arguments(GRPOConfig, named, run).run_name == "mine"


def test_trl_refusal_is_one_line(tmp_path: Path) -> None:
    config = load_recipe("grpo", "demo", ["trainer.optim=adam"])
    with pytest.raises(ConfigError, match="trainer: adam is not a valid OptimizerNames") as raised:
        trainer_arguments(GRPOConfig, config, RunDir(tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("on_gpu", "has_bf16", "autocast"), [(True, True, {}), (True, False, {"fp16": True}), (False, True, {})]
)
def test_autocast_is_what_the_gpu_computes(on_gpu: bool, has_bf16: bool, autocast: dict[str, bool]) -> None:
    defaults = machine_defaults(on_gpu, has_bf16)
    assert {name: value for name, value in defaults.items() if name in ("bf16", "fp16") and value} == autocast
    assert defaults.get("use_cpu", False) is not on_gpu


def test_row_that_json_has_no_number_for_is_null() -> None:
    row = finite({"step": 3, "loss": float("nan"), "logprob_gap_mean": float("inf"), "reward": 0.5})
    assert row == {"step": 3, "loss": None, "logprob_gap_mean": None, "reward": 0.5}
