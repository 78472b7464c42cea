"""SFT in several processes: what one process learns, one run directory, resumed by another number of them."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from configs.run_directory import read_jsonl
from sft.train import train_sft
from tests.rl.test_processes import launch
from tests.tiny import tiny_model
from tests.training import fsdp_on_cpu

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


def overrides(model: Path, run: Path, processes: int, steps: int) -> list[str]:
    """Steps of 12 rows, shared out."""
    return [
        f"output_dir={run}", f"model.name={model}", "model.precision=fp32", "model.max_length=512", "data.limit=40",
        "adapter.dropout=0", "trainer.warmup_steps=1", "trainer.lr_scheduler_type=constant",
        "trainer.save_strategy=steps", "trainer.save_steps=2", f"trainer.max_steps={steps}",
        f"trainer.per_device_train_batch_size={12 // processes}", "eval.data.limit=2", "eval.k=1", "eval.max_tokens=4",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def one(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    run = tmp_path_factory.mktemp("one") / "run"
    train_sft("demo.yaml", overrides(model, run, 1, 3))
    return run


def assert_same(one: Path, several: Path) -> None:
    """Both learned the same."""
    rows = {run: list(read_jsonl(run / "metrics.jsonl")) for run in (one, several)}
    assert [row["step"] for row in rows[several]] == [1, 2, 3]
    for mine, theirs in zip(rows[one], rows[several], strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-4)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)
    weights = [load_file(run / "adapter" / "adapter_model.safetensors") for run in (one, several)]
    assert_close(weights[0], weights[1], atol=1e-4, rtol=1e-3)


def test_two_then_three_processes_learn_what_one_does(one: Path, model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    launch(2, "sft.train", "--config=demo.yaml", *overrides(model, run, 2, 2))
    launch(3, "sft.train", "--config=demo.yaml", *overrides(model, run, 3, 3), "--resume")
    assert_same(one, run)
    assert json.loads((run / "run.json").read_text())["processes"] == 3
    assert {path.name for path in one.iterdir()} == {path.name for path in run.iterdir()}


def test_processes_that_share_weights_out_learn_the_same(one: Path, model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for processes, resume in ((2, []), (3, ["--resume"])):
        recipe = overrides(model, run, processes, steps=processes)
        done = fsdp_on_cpu.launched(processes, "sft.train", "--config=demo.yaml", *recipe, *resume)
        assert done.returncode == 0, done.stderr
    assert_same(one, run)
    assert {path.name for path in one.iterdir()} == {path.name for path in run.iterdir()}
