"""`run.json`: what a run says of itself, and what a resumed run may change."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from configs.errors import RunError
from configs.recipe import load_recipe
from configs.resume import resumed_config
from configs.run_directory import RunDir, sha256_of
from configs.run_record import LoadedWeights, RunRecord, read_record

NF4 = LoadedWeights("tiny", "org/tiny", "transformers", "nf4")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "problems.jsonl"
    file.write_text('{"question": "1 + 1?", "answer": "2"}\n')
    return file


def recipe(data: Path, *overrides: str) -> Any:
    return load_recipe("grpo", "demo", [f"data={{source: file, path: {data}}}", *overrides])


def started(folder: Path, config: Any, **told: Any) -> RunDir:
    run = RunDir(folder / "run")
    run.start(config, **told)
    return run


def test_record_holds_stage_versions_and_data(tmp_path: Path, data: Path) -> None:
    run = started(tmp_path, recipe(data), loaded=NF4, think_format={"name": "s1"}, held_out="heldout_problems.jsonl")
    record = read_record(run.path)
    assert record is not None
    assert (record.stage, record.loaded, record.held_out) == ("grpo", NF4, "heldout_problems.jsonl")
    assert record.data_sha256 == sha256_of(data)
    assert {"python", "torch", "trl"} <= record.versions.keys()
    assert record.command.startswith(os.path.basename(sys.orig_argv[0]))
    assert RunRecord(**json.loads((run / "run.json").read_text()) | {"loaded": NF4}) == record


@pytest.mark.parametrize(("stage", "name"), [("sft", "demo"), ("eval", "demo"), ("curate", "s1k"), ("distill", "demo")])
def test_every_command_names_its_stage(tmp_path: Path, stage: str, name: str) -> None:
    record = read_record(started(tmp_path, load_recipe(stage, name)).path)
    assert record is not None
    assert record.stage == stage


def test_resumed_run_keeps_the_first_command(tmp_path: Path, data: Path) -> None:
    run = started(tmp_path, recipe(data), loaded=NF4)
    run.start(recipe(data), resume=True, loaded=NF4)
    record = read_record(run.path)
    assert record is not None
    assert record.resumed == [record.command]


def test_broken_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"stage": "sft"')
    with pytest.raises(RunError, match=r"run\.json: can't be read"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.limit=7", r"data.limit: \d+ → 7"),
        ("data.seed=7", r"data.seed: \d+ → 7"),
        ("model.name=org/other", "model.name: smollm2-135m → org/other"),
        ("model.precision=bf16", "model.precision: nf4 → bf16"),
        ("adapter.type=dora", "adapter.type: lora → dora"),
        ("adapter=null", "adapter.type: lora → None"),
    ],
)
def test_changed_model_or_data_is_refused(tmp_path: Path, data: Path, override: str, words: str) -> None:
    run = started(tmp_path, recipe(data), loaded=NF4)
    before = {file.name: file.read_bytes() for file in run.path.iterdir()}
    with pytest.raises(RunError, match=f"started with another model or other data \\({words}\\)"):
        resumed_config(recipe(data, override), run)
    assert {file.name: file.read_bytes() for file in run.path.iterdir()} == before


def test_changed_data_file_is_refused(tmp_path: Path, data: Path) -> None:
    run = started(tmp_path, recipe(data), loaded=NF4)
    data.write_text('{"question": "1 + 2?", "answer": "3"}\n')
    with pytest.raises(RunError, match=r"the contents of .*problems\.jsonl have changed"):
        resumed_config(recipe(data), run)


def test_more_steps_are_allowed_on_resume(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = started(tmp_path, recipe(data), loaded=NF4)
    config = resumed_config(recipe(data, "trainer.max_steps=99"), run)
    assert config.trainer["max_steps"] == 99
    assert config.model.precision == "nf4"
    assert capsys.readouterr().out.count("precision: nf4, which the run was started with") == 1


def test_precision_of_the_recipe_is_kept(tmp_path: Path, data: Path) -> None:
    config = recipe(data, "model.precision=bf16")
    run = started(tmp_path, config, loaded=NF4)  # weights that were packed where they come from
    assert resumed_config(config, run) == config
    assert resumed_config(recipe(data), run).model.precision == "bf16"


def test_command_refuses_other_data_before_loading(tmp_path: Path, data: Path) -> None:
    from rl.grpo import train_grpo

    run = started(tmp_path, recipe(data, f"output_dir={tmp_path / 'run'}"), loaded=NF4)
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(RunError, match="other data"):
        train_grpo(recipe(data, f"output_dir={tmp_path / 'run'}", "data.seed=7"), resume=True)
    assert (run / "config.yaml").read_bytes() == before
