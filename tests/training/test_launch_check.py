"""What several processes can't do is refused before torch is imported."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import ConfigError, RunError
from configs.launch import Launch, launch_of
from configs.recipe import load_recipe
from configs.resume import resumed_config
from configs.run_directory import RunDir
from training.launch_check import check_launch

FSDP = {"ACCELERATE_USE_FSDP": "true", "WORLD_SIZE": "8", "RANK": "3"}
ZERO = {"ACCELERATE_USE_DEEPSPEED": "true", "WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Launch()),
        ({"WORLD_SIZE": "2", "RANK": "1"}, Launch(2, 1)),
        (FSDP, Launch(8, 3, "FSDP")),
        (ZERO | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}, Launch(2, 0, "ZeRO-2")),
        (ZERO | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, Launch(2, 0, "ZeRO-3")),
    ],
)
def test_environment_says_what_was_launched(environment: dict[str, str], expected: Launch) -> None:
    assert launch_of(environment) == expected


@pytest.mark.parametrize(
    ("stage", "overrides", "message"),
    [
        ("sft", ["model.precision=nf4", "eval=null"], r"model\.precision: ZeRO-3 can't share out nf4 weights"),
        ("sft", ["model.precision=bf16"], "set eval=null and `mull evaluate` what it saves"),
        ("grpo", ["model.precision=bf16"], "leave no process the whole weights to draw completions with"),
        ("sft", ["model.backend=unsloth", "model.precision=bf16", "eval=null"], "Unsloth trains whole weights"),
    ],
)
def test_shared_out_weights_are_refused(stage: str, overrides: list[str], message: str) -> None:
    config = load_recipe(stage, "demo", overrides)
    check_launch(config, Launch(2, 0, "ZeRO-2" if "unsloth" not in str(overrides) else ""))
    with pytest.raises(ConfigError, match=message):
        check_launch(config, Launch(2, 0, "ZeRO-3"))


def test_sft_that_measures_nothing_may_share_out() -> None:
    check_launch(load_recipe("sft", "demo", ["eval=null", "model.precision=bf16"]), Launch(4, 0, "FSDP"))


@pytest.mark.parametrize(("processes", "batch", "fits"), [("1", 24, True), ("2", 24, False), ("3", 24, True)])
def test_processes_share_a_generation_out(
    monkeypatch: pytest.MonkeyPatch, processes: str, batch: int, fits: bool
) -> None:
    monkeypatch.setenv("WORLD_SIZE", processes)
    overrides = [
        f"trainer.generation_batch_size={batch}", "trainer.per_device_train_batch_size=8", "trainer.num_generations=4",
        "trainer.gradient_accumulation_steps=1",
    ]  # fmt: skip
    if not fits:
        with pytest.raises(ConfigError, match="not shared out evenly to 2 processes × per_device_train_batch_size 8"):
            load_recipe("grpo", "demo", overrides)
        return
    config = load_recipe("grpo", "demo", overrides)
    assert config.completions_per_generation == batch // int(processes)
    assert config.prompts_per_generation == batch // 4


@pytest.fixture
def resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], object]:
    """Resumes a run of two processes × 8 rows with others."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    run = RunDir(tmp_path / "run")
    run.start(load_recipe("sft", "demo", ["trainer.per_device_train_batch_size=8"]))

    def resumed(processes: int, rows: int) -> object:
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        return resumed_config(load_recipe("sft", "demo", [f"trainer.per_device_train_batch_size={rows}"]), run)

    return resumed


@pytest.mark.parametrize(("processes", "rows"), [(2, 8), (1, 16), (4, 4), (16, 1), (2, 4)])
def test_as_many_rows_a_step_are_resumed(resume: Callable[[int, int], object], processes: int, rows: int) -> None:
    assert resume(processes, rows)


@pytest.mark.parametrize(
    ("processes", "rows", "way_out"),
    [(4, 8, "so that their product is 4"), (1, 8, "product is 16"), (3, 4, "3 processes can't share 16 out evenly")],
)
def test_other_rows_a_step_are_refused(
    resume: Callable[[int, int], object], processes: int, rows: int, way_out: str
) -> None:
    with pytest.raises(RunError, match=f"2 processes took steps of 16 rows, .*{way_out}"):
        resume(processes, rows)
