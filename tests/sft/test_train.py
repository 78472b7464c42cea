"""`sft.train` on a tiny model: what is read, trained and kept; and a killed run goes on as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import configs
from configs.errors import ConfigError, DataError
from configs.recipe import validate
from configs.schema import SftConfig
from sft.train import main
from tests.tiny import tiny_model

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).resolve().parents[2]
REAL = os.environ.get("MULL_DATA")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def config(folder: Path, out: Path, **changes: Any) -> SftConfig:
    """Two steps of four generated rows."""
    trainer = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-2, **changes.pop("trainer", {})}
    values = {
        "model": {"name": str(folder), "precision": "fp32", "max_length": 1024, **changes.pop("model", {})},
        "data": {"source": "arithmetic", "limit": 40},
        "output_dir": str(out),
        "trainer": trainer,
        **changes,
    }
    checked: SftConfig = validate("sft", values, "test.yaml")
    return checked


def losses(out: Path, key: str = "loss") -> list[float]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row[key] for row in rows if key in row]


def weights(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(path))


def test_any_layout_is_read_and_a_bad_row_is_kept_aside(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Any] = [
        {
            "conversations": [
                {"from": "human", "value": f"{i}?"},
                {"from": "gpt", "value": f"<think>\n{i}\n</think>\n{i}"},
            ]
        }
        for i in range(8)
    ]
    rows.append({"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "<think>\nno end"}]})
    rows.append({"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "4<|im_end|>5"}]})
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"conversations": [{"fr')
    data = {"path": str(path)}
    with pytest.raises(DataError, match=r"rows\.jsonl:9: thinking opens"):
        main(config(folder, tmp_path / "stopped", data=data))
    assert not (tmp_path / "stopped").exists()
    out = tmp_path / "out"
    main(config(folder, out, data=data, bad_rows="skip", think_format="deepseek"))
    rejected = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert [row.get("line") for row in rejected] == [9, 11, None]
    assert rejected[2]["id"] == "rows-10"
    assert json.loads((out / "truncation.json").read_text())["rows"] == 8
    said = capsys.readouterr().out
    assert "⟦" in said
    assert "first batch: 4 rows" in said
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert "Throughput" in (out / "report.html").read_text()


def test_columns_are_mapped_and_a_row_over_the_limit_stops_or_goes(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("q,t,a\n" + "".join(f"{i} + 1?,{'so ' * 10 * i},{i + 1}\n" for i in range(10)))
    data = {"path": str(path), "fields": {"question": "q", "thinking": "t", "reply": "a"}}
    with pytest.raises(DataError, match=r"rows are longer than model.max_length=200.*truncation=drop"):
        main(config(folder, tmp_path / "stopped", data=data, model={"max_length": 200}))
    main(config(folder, tmp_path / "out", data=data, model={"max_length": 200}, truncation="drop"))
    found = json.loads((tmp_path / "out" / "truncation.json").read_text())
    assert found["rows"] == 10
    assert 0 < found["over_limit"] == found["lost_answer"] < 10
    assert found["limit_max"] >= found["limit_p99"] > 200
    assert found["policy"] == "drop"


@pytest.mark.parametrize(
    ("changes", "trained"),
    [
        ({"adapter": {"r": 4}}, ["lora"]),
        ({"adapter": {"r": 4}, "model": {"precision": "nf4"}}, ["lora"]),
        ({"adapter": None}, ["embed_tokens", "layers.0.", "layers.1.", "lm_head", "norm"]),
        ({"adapter": None, "trained_layers": 1}, ["layers.1."]),
    ],
    ids=["lora", "qlora", "full", "freeze"],
)
def test_only_what_the_recipe_says_is_trained(
    folder: Path, tmp_path: Path, changes: dict[str, Any], trained: list[str]
) -> None:
    main(config(folder, tmp_path / "out", **changes))
    if trained == ["lora"]:
        found = weights(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
        assert all("lora" in name for name in found)
        assert any(value.abs().sum() > 0 for name, value in found.items() if "lora_B" in name)
        return
    before, after = weights(folder / "model.safetensors"), weights(tmp_path / "out" / "model" / "model.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {name for name in before if any(part in name for part in trained)}


def test_neftune_adds_noise_to_training_alone(folder: Path, tmp_path: Path) -> None:
    shared = {"validation": {"every": 1, "share": 0.2}}
    for name, alpha in (("plain", None), ("noisy", 50)):
        trainer = {"learning_rate": 0.0, "neftune_noise_alpha": alpha}
        main(config(folder, tmp_path / name, trainer=trainer, **shared))
    assert losses(tmp_path / "plain")[0] != pytest.approx(losses(tmp_path / "noisy")[0], abs=1e-3)
    assert losses(tmp_path / "plain", "eval_loss") == losses(tmp_path / "noisy", "eval_loss")


def test_training_stops_early_and_keeps_the_best_checkpoint(folder: Path, tmp_path: Path) -> None:
    trainer = {"max_steps": 40, "learning_rate": 0.5, "lr_scheduler_type": "constant"}
    main(config(folder, tmp_path / "out", trainer=trainer, validation={"every": 1, "share": 0.2, "patience": 2}))
    measured = losses(tmp_path / "out", "eval_loss")
    assert 3 <= len(measured) < 40
    assert min(measured) == measured[-3]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["validation_loss"] == min(measured)
    assert summary["best_step"] == len(measured) - 2
    best = tmp_path / "out" / "checkpoints" / f"checkpoint-{summary['best_step']}" / "adapter_model.safetensors"
    kept = weights(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    assert all(kept[name].equal(value) for name, value in weights(best).items())
    assert "Loss on the validation rows" in (tmp_path / "out" / "report.html").read_text()


def test_loss_on_every_token_is_asked_for_by_trls_own_field(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(config(folder, tmp_path / "out", trainer={"completion_only_loss": False, "packing": True}))
    said = capsys.readouterr().out
    assert "(every token)" in said
    assert "packing: the second row's loss is" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained_layers": 2}, "set adapter=null"),
        ({"adapter": None, "model": {"precision": "nf4"}}, "weights can't be trained"),
        ({"trainer": {"eval_steps": 3}}, "set validation.every"),
        ({"trainer": {"assistant_only_loss": True}}, "unless trainer.completion_only_loss=false"),
        ({"trainer": {"max_length": 3}}, "set model.max_length"),
        ({"truncation": "split"}, "truncation: Input should be 'error', 'drop' or 'cut'"),
    ],
)
def test_a_mistake_names_the_key(folder: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(folder, tmp_path, **changes)


def test_more_layers_than_there_are_is_a_mistake(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the model has 2 layers"):
        main(config(folder, tmp_path / "out", adapter=None, trained_layers=3))


def run(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sft.train", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(*arguments: str) -> str:
    process = run(*arguments)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def test_a_killed_and_resumed_run_ends_with_the_loss_of_one_that_was_not(folder: Path, tmp_path: Path) -> None:
    """With everything that draws at random: order, dropout, NEFTune's noise, packing."""
    arguments = ["--config", "demo.yaml", f"model.name={folder}", "model.precision=fp32", "model.max_length=1024",
                 "adapter.dropout=0.1", "eval=null", "data.limit=400", "trainer.packing=true", "trainer.max_steps=25",
                 "trainer.neftune_noise_alpha=5", "validation={every: 5, patience: 4}"]  # fmt: skip
    finished(*arguments, f"output_dir={tmp_path / 'whole'}")
    out = tmp_path / "killed"
    process = run(*arguments, f"output_dir={out}")
    written = out / "checkpoints" / "checkpoint-10" / "trainer_state.json"
    while not written.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    finished(*arguments, f"output_dir={out}", "--resume")
    for key in ("loss", "eval_loss"):
        whole, resumed = losses(tmp_path / "whole", key), losses(out, key)
        assert len(whole) == len(resumed)
        assert resumed[-1] == pytest.approx(whole[-1], abs=1e-4)
    refused = run(*arguments, f"output_dir={out}")
    assert "is in use; go on with --resume" in refused.communicate()[1]


@pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")
@pytest.mark.parametrize(
    ("recipe", "data"),
    [
        ("alpaca.yaml", "alpaca/alpaca_zh_demo.json"),
        ("alpaca.yaml", "medical_zh/sharegpt_1k.jsonl"),
        ("gsm8k_traces.yaml", "gsm8k/train.jsonl"),
        ("gsm8k_traces.yaml", "marco_o1/CoT_demo.json"),
    ],
)
def test_the_recipes_train_on_real_data(folder: Path, tmp_path: Path, recipe: str, data: str) -> None:
    out = tmp_path / "out"
    layers = ["trained_layers=1"] if recipe == "alpaca.yaml" else ["eval=null"]
    main(configs.load("sft", recipe, [f"data.path={REAL}/{data}", "data.limit=60", f"output_dir={out}", *layers,
                                      f"model.name={folder}", "model.max_length=2048", "truncation=drop",
                                      "bad_rows=skip", "trainer.max_steps=2", "validation.every=2",
                                      "validation.share=0.1"]))  # fmt: skip
    assert len(losses(out)) == 2
    assert len(losses(out, "eval_loss")) == 1


@pytest.mark.skipif(any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd")), reason="here is a GPU")
def test_the_gpu_recipe_says_so_and_names_one_that_runs_here() -> None:
    process = run("--config", "s1k.yaml")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "needs a GPU" in err
    assert "python -m sft.train --config gsm8k_traces.yaml" in err
    assert len(err.splitlines()) == 1
