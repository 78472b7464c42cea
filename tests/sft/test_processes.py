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

pytestmark = pytest.mark.recipe


def test_two_then_three_processes_learn_what_one_does(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")

    def train(processes: int, run: Path, *arguments: str) -> None:
        overrides = [
            f"output_dir={run}", f"model.name={model}", "model.precision=fp32", "model.max_length=512",
            "data.limit=40", "eval.data.limit=2", "eval.k=1", "eval.max_tokens=4", "eval.when=[before,after]",
            "adapter.dropout=0", "trainer.warmup_steps=1", "trainer.lr_scheduler_type=constant",
            "trainer.save_strategy=steps", "trainer.save_steps=2",
            f"trainer.per_device_train_batch_size={12 // processes}",
        ]  # fmt: skip
        if processes == 1:
            train_sft("demo.yaml", [*overrides, *arguments])
        else:
            launch(processes, "sft.train", "--config=demo.yaml", *overrides, *arguments)

    one, several = tmp_path / "one", tmp_path / "several"
    train(1, one, "trainer.max_steps=3")
    train(2, several, "trainer.max_steps=2")
    train(3, several, "trainer.max_steps=3", "--resume")
    rows = {run: list(read_jsonl(run / "metrics.jsonl")) for run in (one, several)}
    assert [row["step"] for row in rows[several]] == [1, 2, 3]
    for mine, theirs in zip(rows[one], rows[several], strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-4)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)
    weights = [load_file(run / "adapter" / "adapter_model.safetensors") for run in (one, several)]
    assert_close(weights[0], weights[1], atol=1e-4, rtol=1e-3)
    assert json.loads((several / "run.json").read_text())["processes"] == 3
    assert {path.name for path in one.iterdir()} == {path.name for path in several.iterdir()}
