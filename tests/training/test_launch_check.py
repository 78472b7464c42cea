"""What several processes can't do is refused before torch is imported."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

from configs.errors import ConfigError, RunError
from configs.launch import Launch, Sharding, launch_of
from configs.recipe import RECIPES, load_recipe
from configs.resume import resumed_config
from configs.run_directory import RunDir
from configs.schema.sft import SftConfig
from training import launch_check
from training.launch_check import check_launch

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "WORLD_SIZE": "8", "RANK": "3"}
ZERO = {"ACCELERATE_USE_DEEPSPEED": "true", "WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Launch()),
        ({"WORLD_SIZE": "2", "RANK": "1"}, Launch(2, 1)),
        (FSDP, Launch(8, 3, "FSDP2")),
        (FSDP | {"FSDP_VERSION": "1"}, Launch(8, 3, "FSDP1")),
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
        ("grpo", ["model.precision=int8"], r"model\.precision: ZeRO-3 can't share out int8 weights"),
        ("sft", ["model.backend=unsloth", "model.precision=bf16"], "Unsloth trains whole weights"),
    ],
)
def test_shared_out_weights_are_refused(stage: str, overrides: list[str], message: str) -> None:
    config = load_recipe(stage, "demo", overrides)
    check_launch(config, Launch(2))
    with pytest.raises(ConfigError, match=message):
        check_launch(config, Launch(2, 0, "ZeRO-3"))


@pytest.mark.parametrize("setting", ["trainer.fsdp=full_shard", "trainer.deepspeed=zero3.json"])
def test_launcher_says_what_is_shared_out(setting: str) -> None:
    with pytest.raises(ConfigError, match=rf"{setting.split('=')[0]}: .*accelerate launch --config_file"):
        check_launch(load_recipe("grpo", "demo", [setting]), Launch(2))


@pytest.fixture
def plain() -> SftConfig:
    config: SftConfig = load_recipe("sft", "demo", ["model.precision=bf16", "model.backend=transformers"])
    return config


@pytest.mark.parametrize("sharding", ["FSDP2", "ZeRO-2"])
def test_what_draws_and_measures_may_share_out(
    plain: SftConfig, monkeypatch: pytest.MonkeyPatch, sharding: Sharding
) -> None:
    monkeypatch.setattr(launch_check, "has_gpu", lambda: True)
    check_launch(plain, Launch(4, 0, sharding))
    grpo = load_recipe("grpo", "demo", ["model.precision=bf16", "model.backend=transformers", "rollout.engine=vllm"])
    check_launch(grpo, Launch(4, 0, sharding))


@pytest.mark.parametrize(
    ("sharding", "message"),
    [
        ("FSDP1", "set fsdp_version: 2"),
        ("ZeRO-3", "FSDP2 shares out as much"),
        ("FSDP2", "without a GPU it leaves FSDP2 out"),
        ("ZeRO-2", "without a GPU it leaves ZeRO-2 out"),
    ],
)
def test_what_was_never_run_is_refused(
    plain: SftConfig, monkeypatch: pytest.MonkeyPatch, sharding: Sharding, message: str
) -> None:
    monkeypatch.setattr(launch_check, "has_gpu", lambda: False)
    with pytest.raises(ConfigError, match=message):
        check_launch(plain, Launch(2, 0, sharding))


@pytest.mark.parametrize("file", sorted((RECIPES / "accelerate").glob("*.yaml")), ids=lambda file: file.stem)
def test_accelerate_reads_its_files(file: Path) -> None:
    found = load_config_from_file(str(file))
    keys = yaml.safe_load(file.read_text())
    assert found.num_processes == keys["num_processes"]
    assert found.distributed_type.value == keys["distributed_type"]
    known = vars(launch_command_parser().parse_args(["script.py"]))
    assert {*found.fsdp_config, *found.deepspeed_config} <= known.keys()


@pytest.mark.parametrize(("processes", "batch", "fits"), [("1", 24, True), ("2", 24, False), ("3", 24, True)])
def test_processes_share_a_generation_out(
    monkeypatch: pytest.MonkeyPatch, processes: str, batch: int, fits: bool
) -> None:
    monkeypatch.setenv("WORLD_SIZE", processes)
    overrides = [
        f"trainer.generation_batch_size={batch}", "trainer.per_device_train_batch_size=8", "trainer.num_generations=4",
        "trainer.gradient_accumulation_steps=1", "trainer.max_steps=12", "trainer.save_steps=6",
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


def test_weights_shared_out_otherwise_are_refused(
    resume: Callable[[int, int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(RunError, match="checkpoints are for DDP or one process, not for FSDP2; start it as before"):
        resume(2, 8)


@pytest.mark.parametrize(
    ("processes", "rows", "way_out"),
    [(4, 8, "so that their product is 4"), (1, 8, "product is 16"), (3, 4, "3 processes can't share 16 out evenly")],
)
def test_other_rows_a_step_are_refused(
    resume: Callable[[int, int], object], processes: int, rows: int, way_out: str
) -> None:
    with pytest.raises(RunError, match=f"2 processes took steps of 16 rows, .*{way_out}"):
        resume(processes, rows)
