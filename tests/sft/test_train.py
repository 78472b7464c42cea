"""`sft.train` on a tiny model: what is read, trained and kept; and a killed run goes on as if it had not been."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from configs.errors import ConfigError, DataError
from configs.recipe import RECIPES, load_recipe, validate
from configs.run_directory import read_jsonl
from configs.schema.sections import ModelConfig
from configs.schema.sft import SftConfig
from data.problem_file import read_problems
from data.think_format import NONE, S1
from models import load
from sft.prepare import prepare
from sft.train import train_sft
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


def test_bad_rows_are_set_aside(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
        train_sft(config(folder, tmp_path / "stopped", data=data))
    assert not (tmp_path / "stopped").exists()
    out = tmp_path / "out"
    train_sft(config(folder, out, data=data, bad_rows="skip", think_format="deepseek"))
    rejected = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert [row.get("line") for row in rejected] == [9, 11, None]
    assert rejected[2]["id"] == "rows-10"
    assert json.loads((out / "truncation.json").read_text())["rows"] == 8
    said = capsys.readouterr().out
    assert "⟦" in said
    assert "first batch: 4 rows" in said
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert "Throughput" in (out / "report.html").read_text()


@pytest.mark.parametrize("bad_rows", ["stop", "skip"])
def test_known_bad_benchmark_rows_are_counted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Any, bad_rows: str
) -> None:
    rows = [{"problem": f"{i}?", "solution": f"so \\boxed{{{i}}}", "answer": f"{i}"} for i in range(3)]
    rows.append({"problem": "3?", "solution": "so", "answer": ""})
    (tmp_path / "math_train").mkdir()
    (tmp_path / "math_train" / "train.json").write_text(json.dumps(rows, indent=0))
    monkeypatch.setenv("MULL_DATA", str(tmp_path))
    recipe = config(folder, tmp_path / "out", data={"source": "math"}, bad_rows=bad_rows)
    data = prepare(recipe, tokenizer, S1)
    assert len(data.train) == 3
    assert [row["fields"]["problem"] for row in data.rejected] == ["3?"]
    assert "rejected 1: no answer in column 'answer'" in data.summary()


def test_summary_counts_residue_and_leaves_it(folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    rows = [{"question": f"{i}?", "answer": f"<p>{i}</p>" if i % 2 else f"{i}"} for i in range(8)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = prepare(config(folder, tmp_path / "out", data={"path": str(path)}), tokenizer, S1)
    assert "rows with HTML tags, left as they are: 4, such as rows-2: <p>1</p>" in data.summary()
    assert "<p>1</p>" in tokenizer.decode(data.train[1].input_ids)


def test_summary_says_that_validation_rows_differ(folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    for name, words in (("train", 3), ("validation", 12)):
        rows = [{"question": f"{'word ' * words}{i}?", "answer": f"{i}"} for i in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"path": str(tmp_path / "train.jsonl")}
    validation = {"data": {"path": str(tmp_path / "validation.jsonl")}}
    recipe = config(folder, tmp_path / "out", data=data, validation=validation)
    said = "validation differs from train by more than chance: questions of 63 characters in the median, 18 there"
    assert said in prepare(recipe, tokenizer, S1).summary()
    same = config(folder, tmp_path / "out", data=data, validation={"share": 0.25})
    assert "differs" not in prepare(same, tokenizer, S1).summary()


def test_none_format_refuses_thinking(folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    rows = [{"question": f"{i}?", "thinking": "hm" * (i % 2), "answer": f"{i}"} for i in range(5)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = {"question": "question", "thinking": "thinking", "reply": "answer"}
    recipe = config(folder, tmp_path / "out", data={"path": str(path), "fields": fields})
    with pytest.raises(DataError, match="none trains the reply alone, and 2 of 5 rows have thinking; name another"):
        prepare(recipe, tokenizer, NONE)
    path.write_text("".join(json.dumps(row | {"thinking": ""}) + "\n" for row in rows))
    first = prepare(recipe, tokenizer, NONE).train[0]
    assert tokenizer.decode(first.input_ids[first.loss_spans[0][0] :]) in {f"{i}<|im_end|>" for i in range(5)}


def test_rows_without_thinking_are_measured_without(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recipe's s1 would open the thinking of prompts that were trained without."""
    rows = [{"instruction": f"Say {i}.", "system": "Be brief.", "output": str(i)} for i in range(12)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = config(
        folder,
        tmp_path / "out",
        data={"path": str(path), "grader": "text"},
        eval={"problems": 3, "k": 1, "max_tokens": 4},
    )
    train_sft(recipe)
    assert "think_format: none, as no row has thinking" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["think_format"]["name"] == "none"
    assert "think_format: none" in (tmp_path / "out" / "config.yaml").read_text()
    held_out = read_problems(tmp_path / "out" / "heldout_problems.jsonl")
    assert {(problem.system, problem.grader) for problem in held_out} == {("Be brief.", "text")}
    assert all(problem.answer in problem.question for problem in held_out)
    before = list(read_jsonl(tmp_path / "out" / "heldout_before.jsonl"))
    assert all(row["extracted"] == (row["text"].removesuffix("<|im_end|>").strip() or None) for row in before)


def test_every_lost_line_is_counted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Any
) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "train.jsonl").write_text('{"question": "1?", "answer": "so #### 1"}\n{"question": "2')
    monkeypatch.setenv("MULL_DATA", str(tmp_path))
    (tmp_path / "rows.csv").write_text('question,answer\n1?,1\n2?,"2\n3?,3\n4?,4\n')
    lost = {}
    for name, data in (("gsm8k", {"source": "gsm8k"}), ("csv", {"path": str(tmp_path / "rows.csv")})):
        found = prepare(config(folder, tmp_path / "out", data=data, bad_rows="skip"), tokenizer, S1)
        assert len(found.train) == 1
        lost[name] = found.summary().partition("rejected ")[2].partition(":")[0]
    assert lost == {"gsm8k": "1", "csv": "3"}


def test_long_row_stops_or_is_dropped(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("q,t,a\n" + "".join(f"{i} + 1?,{'so ' * 10 * i},{i + 1}\n" for i in range(10)))
    data = {"path": str(path), "fields": {"question": "q", "thinking": "t", "reply": "a"}}
    with pytest.raises(DataError, match=r"rows are longer than model.max_length=200.*truncation=drop"):
        train_sft(config(folder, tmp_path / "stopped", data=data, model={"max_length": 200}))
    assert not (tmp_path / "stopped").exists()
    assert "past the limit are" in capsys.readouterr().out
    train_sft(config(folder, tmp_path / "out", data=data, model={"max_length": 200}, truncation="drop"))
    found = json.loads((tmp_path / "out" / "truncation.json").read_text())
    assert found["rows"] == 10
    assert 0 < found["over_limit"] == found["lost_answer"] < 10
    assert found["limit_max"] >= found["limit_p99"] > 200
    assert (found["policy"], found["left_out"]) == ("drop", found["over_limit"])


@pytest.mark.parametrize("dry_run", [False, True])
def test_ledger_is_shown_before_refusal(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    path = tmp_path / "long.jsonl"
    rows = [{"question": f"{i}?", "thinking": "so " * 400, "reply": f"{i}"} for i in range(2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = config(folder, tmp_path / "out", model={"max_length": 1200}, validation={"data": {"path": str(path)}})
    with pytest.raises(
        DataError, match=r"^2 of 42 rows are longer than .*\(1\d{3} keeps 99% of the rows, 1\d{3} all\)"
    ):
        train_sft(recipe, dry_run=dry_run)
    assert "2 of 42 rows are over 1,200 tokens (error); 99% fit in 1," in capsys.readouterr().out


@pytest.mark.parametrize(("part", "key"), [("data", "data: no row to train on"), ("validation", "validation: no row")])
def test_empty_part_is_named(folder: Path, tmp_path: Path, part: str, key: str) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"question": "?", "thinking": "so " * 400, "reply": "1"}) + "\n")
    long, short = {"path": str(path)}, {"source": "arithmetic", "limit": 20}
    data, validation = (long, short) if part == "data" else (short, long)
    recipe = config(folder, tmp_path / "out", data=data, validation={"data": validation}, truncation="drop")
    with pytest.raises(DataError, match=f"{key} is left within model.max_length=1024"):
        train_sft(recipe)


def test_part_of_bad_rows_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"question": "?", "thinking": "", "reply": "1<|im_end|>"}) + "\n")
    recipe = config(folder, tmp_path / "out", validation={"data": {"path": str(path)}}, bad_rows="skip")
    with pytest.raises(DataError, match=r"validation: no row is left: 1 are bad, the first: .*would end the turn"):
        train_sft(recipe)


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
def test_only_configured_weights_train(
    folder: Path, tmp_path: Path, changes: dict[str, Any], trained: list[str]
) -> None:
    train_sft(config(folder, tmp_path / "out", **changes))
    if trained == ["lora"]:
        found = weights(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
        assert all("lora" in name for name in found)
        assert any(value.abs().sum() > 0 for name, value in found.items() if "lora_B" in name)
        return
    before, after = weights(folder / "model.safetensors"), weights(tmp_path / "out" / "model" / "model.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {name for name in before if any(part in name for part in trained)}


def test_neftune_leaves_eval_loss_alone(folder: Path, tmp_path: Path) -> None:
    shared = {"validation": {"every": 1, "share": 0.2}}
    for name, alpha in (("plain", None), ("noisy", 50)):
        trainer = {"learning_rate": 0.0, "neftune_noise_alpha": alpha}
        train_sft(config(folder, tmp_path / name, trainer=trainer, **shared))
    assert losses(tmp_path / "plain")[0] != pytest.approx(losses(tmp_path / "noisy")[0], abs=1e-3)
    assert losses(tmp_path / "plain", "eval_loss") == losses(tmp_path / "noisy", "eval_loss")


def test_early_stop_keeps_best_checkpoint(folder: Path, tmp_path: Path) -> None:
    trainer = {"max_steps": 40, "learning_rate": 0.5, "lr_scheduler_type": "constant"}
    train_sft(config(folder, tmp_path / "out", trainer=trainer, validation={"every": 1, "share": 0.2, "patience": 2}))
    measured = losses(tmp_path / "out", "eval_loss")
    assert 3 <= len(measured) < 40
    assert min(measured) == measured[-3]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["validation_loss"] == min(measured)
    assert summary["best_step"] == len(measured) - 3
    assert summary["validation_loss_before"] == measured[0]
    best = tmp_path / "out" / "checkpoints" / f"checkpoint-{summary['best_step']}" / "adapter_model.safetensors"
    kept = weights(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    assert all(kept[name].equal(value) for name, value in weights(best).items())
    assert "Loss on the validation rows" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(("steps", "patience"), [(6, None), (40, 2)])
def test_killed_run_keeps_best_checkpoint(folder: Path, tmp_path: Path, steps: int, patience: int | None) -> None:
    out = tmp_path / "out"
    trainer = {"max_steps": steps, "learning_rate": 0.5, "lr_scheduler_type": "constant"}
    validation = {"every": 1, "share": 0.2, "patience": patience}
    train_sft(config(folder, out, trainer=trainer, validation=validation))
    names = ("summary.json", "metrics.jsonl")
    whole = [(out / name).read_text() for name in names]
    kept = weights(out / "adapter" / "adapter_model.safetensors")
    summary = json.loads(whole[0])
    assert 0 < summary["best_step"] < summary["steps"]
    shutil.rmtree(out / "adapter")
    (out / "summary.json").unlink()
    train_sft(config(folder, out, trainer=trainer, validation=validation), resume=True)
    assert [(out / name).read_text() for name in names] == whole
    found = weights(out / "adapter" / "adapter_model.safetensors")
    assert all(kept[name].equal(value) for name, value in found.items())


def test_finished_partial_epoch_is_not_extended(folder: Path, tmp_path: Path) -> None:
    trainer = {"max_steps": -1, "num_train_epochs": 0.5, "save_strategy": "steps", "save_steps": 1}
    train_sft(config(folder, tmp_path / "out", trainer=trainer))
    names = ("metrics.jsonl", "summary.json")
    whole = [(tmp_path / "out" / name).read_text() for name in names]
    (tmp_path / "out" / "summary.json").unlink()
    train_sft(config(folder, tmp_path / "out", trainer=trainer), resume=True)
    assert [(tmp_path / "out" / name).read_text() for name in names] == whole


def test_resumed_run_can_add_patience(folder: Path, tmp_path: Path) -> None:
    train_sft(config(folder, tmp_path / "out", validation={"every": 1}))
    recipe = config(folder, tmp_path / "out", validation={"every": 1, "patience": 9}, trainer={"max_steps": 4})
    train_sft(recipe, resume=True)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["steps"] == 4


def test_more_patience_continues_stopped_run(folder: Path, tmp_path: Path) -> None:
    trainer = {"max_steps": 40, "learning_rate": 0.5, "lr_scheduler_type": "constant"}
    measured = []
    for patience in (2, 4):
        validation = {"every": 1, "share": 0.2, "patience": patience}
        train_sft(config(folder, tmp_path / "out", trainer=trainer, validation=validation), resume=patience > 2)
        measured.append(losses(tmp_path / "out", "eval_loss"))
    first, whole = measured
    assert whole[: len(first)] == first
    best = whole.index(min(whole))
    assert len(whole) == min(best + 1 + 4, 40) > len(first)


def test_completion_only_loss_can_be_off(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_sft(config(folder, tmp_path / "out", trainer={"completion_only_loss": False, "packing": True}))
    said = capsys.readouterr().out
    assert "(every token)" in said
    assert "packing: the second row's loss is" in said


@pytest.mark.parametrize("packing", [False, True])
def test_documents_are_pretrained_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], packing: bool
) -> None:
    path, out = tmp_path / "corpus.jsonl", tmp_path / "out"
    texts = [f"{word} is item {i}. " * (1 + 40 * (i == 3)) for i, word in enumerate("abcdefghijkl")]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    trainer = {"packing": packing, "max_steps": 4}
    recipe = config(folder, out, data={"path": str(path)}, validation={"every": 2, "share": 0.2}, trainer=trainer,
                    model={"max_length": 256})  # fmt: skip
    train_sft(recipe)
    said = capsys.readouterr().out
    assert "1 of them are documents and split into 3 pieces" in said
    assert "carry loss (every token)" in said
    assert "⟦a is item 0.<|im_end|>⟧" in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["validation_loss"] < summary["validation_loss_before"]
    assert f"(perplexity {math.exp(summary['validation_loss']):.2f})" in said
    assert json.loads((out / "truncation.json").read_text())["tokens_lost"] == 0


@pytest.mark.parametrize("packing", [False, True])
def test_all_turns_are_trained(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], packing: bool) -> None:
    turns = [{"from": who, "value": f"{who} {i}"} for i in range(3) for who in ("human", "gpt")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"conversations": turns[: 2 * (1 + i % 3)]}) + "\n" for i in range(12)))
    said = {}
    for loss_on in ("last_turn", "all_turns"):
        out = tmp_path / loss_on
        train_sft(config(folder, out, data={"path": str(path)}, loss_on=loss_on, trainer={"packing": packing}))
        said[loss_on] = capsys.readouterr().out
        assert losses(out)
    assert "8 rows are conversations of several turns: every reply carries loss" in said["all_turns"]
    assert "assistant\n⟦gpt 0<|im_end|>⟧\n<|im_start|>user\nhuman 1" in said["all_turns"]
    assert "carry loss (every reply of a conversation, ends of turn included)" in said["all_turns"]
    assert "their last reply carries loss (loss_on=all_turns: every reply)" in said["last_turn"]
    assert said["last_turn"].count("⟦gpt") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained_layers": 2}, "set adapter=null"),
        ({"loss_on": "all_turns", "trainer": {"completion_only_loss": False}}, "has loss on every token; leave out"),
        ({"adapter": None, "model": {"precision": "nf4"}}, "weights can't be trained"),
        ({"trainer": {"eval_steps": 3}}, "set validation.every"),
        ({"trainer": {"padding_free": True}}, "set trainer.packing=true"),
        ({"validation": {}, "trainer": {"save_steps": 3}}, "set validation.every"),
        ({"validation": {}, "trainer": {"save_strategy": "epoch"}}, "it is saved where it is validated"),
        ({"validation": {}, "trainer": {"save_total_limit": 9}}, "the best checkpoint and the last are kept"),
        ({"validation": {}, "trainer": {"metric_for_best_model": "x"}}, "it is the loss on the validation rows"),
        ({"trainer": {"save_strategy": "best"}}, "name a validation section instead"),
        ({"trainer": {"assistant_only_loss": True}}, "unless trainer.completion_only_loss=false"),
        ({"trainer": {"max_length": 3}}, "set model.max_length"),
        ({"truncation": "split"}, "truncation: Input should be 'error', 'drop' or 'cut'"),
    ],
)
def test_config_mistake_names_the_key(folder: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(folder, tmp_path, **changes)


POLYNOMIAL = {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": 1e-5}}
HELD_OUT = {"data": {"source": "arithmetic", "limit": 2, "seed": 9}, "k": 1}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"trainer": {"optim": "galore_adamw", "optim_target_modules": ["attn"]}}, ConfigError, "trainer: .*galore"),
        ({"trainer": {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"x": 1}}}, ConfigError, "trainer: "),
        (
            {"trainer": {**POLYNOMIAL, "learning_rate": 1e-6}},
            ConfigError,
            r"trainer: lr_end \(1e-05\) must be smaller than initial lr \(1e-06\)",
        ),
        ({"eval": {**HELD_OUT, "max_tokens": 1020}}, DataError, r"eval\.max_tokens"),
        ({"adapter": None, "trained_layers": 3}, ConfigError, "the model has 2 layers"),
    ],
)
def test_late_refusal_leaves_no_folder(
    folder: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train_sft(config(folder, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_no_validation_keeps_save_settings(folder: Path, tmp_path: Path) -> None:
    trainer = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 1}
    assert config(folder, tmp_path, trainer=trainer).trainer.items() >= trainer.items()


@pytest.mark.parametrize("name", sorted(path.name for path in (RECIPES / "sft").glob("*.yaml")))
def test_recipe_can_hold_validation_batch(name: str) -> None:
    recipe = load_recipe("sft", name)
    assert isinstance(recipe, SftConfig)
    if recipe.validation:  # TRL's default batch is 8
        assert recipe.trl_setting("per_device_eval_batch_size") * recipe.model.max_length <= 20_000
    if recipe.adapter is None:
        assert recipe.model.backend == "transformers"


def test_unsloth_gets_full_precision(folder: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> None:
    asked: list[dict[str, Any]] = []

    def from_pretrained(**kwargs: Any) -> tuple[None, Any]:
        asked.append(kwargs)
        return None, tokenizer

    stand_in = SimpleNamespace(FastLanguageModel=SimpleNamespace(from_pretrained=from_pretrained))
    monkeypatch.setitem(sys.modules, "unsloth", stand_in)
    for precision in ("fp32", "bf16"):
        load._load_unsloth(str(folder), precision, ModelConfig(name=str(folder)), None, 0)
    assert [kwargs["dtype"] for kwargs in asked] == [torch.float32, None]


def test_unsloth_is_imported_first(tmp_path: Path) -> None:
    (tmp_path / "unsloth.py").write_text("import sys\nsys.exit(f'after it: {\"transformers\" in sys.modules}')\n")
    program = (
        "from models import backend; backend.GPU_DEVICES = ('/',); from sft.train import main; "
        f"main(['--config', 'demo.yaml', 'eval=null', 'output_dir={tmp_path / 'out'}'])"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stderr == "after it: False\n"


def run(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sft.train", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(*arguments: str) -> str:
    process = run(*arguments)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def test_killed_run_resumes_identically(folder: Path, tmp_path: Path) -> None:
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
def test_recipes_train_on_real_data(folder: Path, tmp_path: Path, recipe: str, data: str) -> None:
    out = tmp_path / "out"
    layers = ["trained_layers=1"] if recipe == "alpaca.yaml" else ["eval=null"]
    train_sft(load_recipe("sft", recipe, [f"data.path={REAL}/{data}", "data.limit=60", f"output_dir={out}", *layers,
                                      f"model.name={folder}", "model.max_length=2048", "truncation=drop",
                                      "bad_rows=skip", "trainer.max_steps=2", "validation.every=2",
                                      "validation.share=0.1"]))  # fmt: skip
    assert len(losses(out)) == 2
    assert len(losses(out, "eval_loss")) == 2


@pytest.mark.skipif(any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd")), reason="here is a GPU")
def test_gpu_recipe_names_a_cpu_recipe() -> None:
    process = run("--config", "s1k.yaml")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "needs a GPU" in err
    assert "python -m sft.train --config gsm8k_traces.yaml" in err
    assert len(err.splitlines()) == 1
