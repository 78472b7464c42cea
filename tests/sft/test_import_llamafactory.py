"""`mull import-llamafactory`: a file as tutorials have it → a recipe that loads, and trains."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError, MullError
from configs.recipe import load_recipe
from curation.curate import curate
from data.corpus import load_traces
from sft.import_llamafactory import main, read_arguments
from sft.train import train_sft
from tests.tiny import tiny_model

TRAIN = """
### model
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
trust_remote_code: true
### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
use_dora: true
pissa_init: true
### dataset
dataset: {names}
template: qwen3_nothink
cutoff_len: 512
max_samples: 1000
### output
output_dir: saves/qwen3-4b/lora/sft
report_to: none
### train
learning_rate: 1e-4
num_train_epochs: 3.0
warmup_ratio: 0.1
bf16: true
"""
SCRIPT = """#!/bin/bash
export CUDA_VISIBLE_DEVICES=0
MODEL_PATH=Qwen/Qwen3-4B
llamafactory-cli train \\
    --model_name_or_path ${MODEL_PATH} \\
    --stage sft --do_train \\
    --dataset=one --lora_target q_proj,v_proj \\
    --learning_rate 1e-4 --max_steps 10 \\
    --bf16   # as it is
echo done
"""
ALPACA = [{"instruction": f"{n} + 1?", "input": "", "output": str(n + 1)} for n in range(12)]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like LLaMA-Factory's, and another one to work in."""
    root = tmp_path / "LLaMA-Factory"
    (root / "data").mkdir(parents=True)
    (root / "examples").mkdir()
    entries: dict[str, Any] = {name: {"file_name": f"{name}.json"} for name in ("one", "two")}
    entries |= {"dpo": {"ranking": True}, "wiki": {"file_name": "wiki.txt", "columns": {"prompt": "text"}}}
    (root / "data" / "wiki.txt").write_text("\n".join(f"The number {n} comes after {n - 1}." for n in range(1, 99)))
    (root / "data" / "dataset_info.json").write_text(json.dumps(entries))
    for name in ("one", "two"):
        (root / "data" / f"{name}.json").write_text(json.dumps(ALPACA))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return root


def train_file(root: Path, names: str = "one", more: str = "") -> str:
    """`more`: lines in the place of those with the same key."""
    path = root / "examples" / "train.yaml"
    keys = tuple(line.partition(":")[0] + ":" for line in more.splitlines())
    kept = [
        line for line in TRAIN.format(names=names).splitlines(keepends=True) if not keys or not line.startswith(keys)
    ]
    path.write_text("".join(kept) + more)
    return str(path)


def test_recipe_loads_and_tells_each_key(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([train_file(there), "-o", "recipes/mine.yaml"])
    config = load_recipe("sft", "recipes/mine.yaml")
    assert config.data.path == f"{there}/data/dataset_info.json#one"  # found above the file, not from here
    assert (config.adapter.r, config.adapter.alpha, config.trainer["learning_rate"]) == (8, 16, 1e-4)
    said = capsys.readouterr().out
    for line in (
        "taken\n",
        "  lora_rank: 8 → adapter.r\n",
        "  use_dora: True → adapter.type\n",
        "stands by default\n",
        "  template: qwen3_nothink (the model's own chat template is used)\n",
        "no counterpart\n",
        "  pissa_init: True (leave it out: a LoRA starts at zero)\n",
    ):
        assert line in said
    assert said.endswith("\nmull sft --config recipes/mine.yaml\n")
    text = Path("recipes/mine.yaml").read_text("utf-8")
    assert text.startswith("# From LLaMA-Factory's train.yaml.")
    assert "#   pissa_init: True (leave it out: a LoRA starts at zero)\n" in text
    assert "lora_rank" not in text


def test_name_is_the_files_and_nothing_is_overwritten(there: Path) -> None:
    main([train_file(there)])
    before = Path("train_mull.yaml").read_text()
    with pytest.raises(
        ConfigError, match=r"train_mull\.yaml: is there already, and is not overwritten; name .* -o FILE"
    ):
        main([train_file(there, "two")])
    assert Path("train_mull.yaml").read_text() == before
    Path("a_mix.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"a_mix\.yaml: is there already"):
        main([train_file(there, "one,two"), "-o", "a.yaml"])
    assert not Path("a.yaml").exists()


def test_paths_are_taken_from_here_first(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(there)
    main([train_file(there)])
    assert load_recipe("sft", "train_mull.yaml").data.path == "data/dataset_info.json#one"


def test_data_that_is_nowhere_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.yaml").write_text(TRAIN.format(names="one") + "dataset_dir: elsewhere\n")
    main(["train.yaml"])
    assert "not found from here: elsewhere/dataset_info.json; run from" in capsys.readouterr().out
    assert load_recipe("sft", "train_mull.yaml").data.path == "elsewhere/dataset_info.json#one"


@pytest.mark.parametrize(
    ("names", "message"),
    [("onee", "no data set 'onee'; did you mean 'one'"), ("dpo", "names no file"), ("one,tow", "'two'")],
)
def test_data_set_is_looked_up(there: Path, names: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        main([train_file(there, names)])
    assert not list(Path().iterdir())


def test_texts_are_for_the_stage_that_trains_on_them(there: Path) -> None:
    with pytest.raises(DataError, match=r"#wiki: texts to pre-train on, .*; import it with stage: pt"):
        main([train_file(there, "wiki")])
    with pytest.raises(DataError, match=r"#one: a data set of questions and replies, .*; import it with stage: sft"):
        main([train_file(there, "one", "stage: pt\n")])
    assert not list(Path().iterdir())
    main([train_file(there, "wiki", "stage: pt\n")])
    text = Path("train_mull.yaml").read_text("utf-8")
    assert text.startswith("# From LLaMA-Factory's train.yaml. Texts are treated as there")
    assert all(trace.is_document for trace in load_traces(load_recipe("sft", "train_mull.yaml").data))


def test_quoted_numbers_are_read(there: Path) -> None:
    main([train_file(there, more='learning_rate: "1e-4"\nbf16: "true"\nlora_rank: "4"\npacking: "false"\n')])
    config = load_recipe("sft", "train_mull.yaml")
    assert (config.trainer["learning_rate"], config.adapter.r, config.model.precision) == (1e-4, 4, "bf16")
    assert config.trainer["packing"] is False


def test_validation_rows_are_looked_up(there: Path) -> None:
    with pytest.raises(DataError, match="no data set 'tow'; did you mean 'two'"):
        main([train_file(there, more="eval_dataset: tow\n")])
    main([train_file(there, more="eval_dataset: two\n")])
    assert load_recipe("sft", "train_mull.yaml").validation.data.path == f"{there}/data/dataset_info.json#two"


def test_script_is_read(there: Path) -> None:
    script = there / "examples" / "train.sh"
    script.write_text(SCRIPT)
    main([str(script)])
    config = load_recipe("sft", "train_mull.yaml")
    assert config.model.name == "Qwen/Qwen3-4B"
    assert config.adapter.target_modules == ["q_proj", "v_proj"]
    assert (config.trainer["learning_rate"], config.trainer["max_steps"]) == (1e-4, 10)
    assert config.model.precision == "bf16"


def test_script_may_name_a_yaml_file(there: Path) -> None:
    train_file(there)
    script = there / "train.sh"
    script.write_text("llamafactory-cli train examples/train.yaml \\\n  learning_rate=2e-5 lora_rank=4\n")
    arguments = read_arguments(script)
    assert (arguments["learning_rate"], arguments["lora_rank"], arguments["cutoff_len"]) == (2e-5, 4, 512)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.sh", "python serve.py\n", "no call of llamafactory-cli train in it"),
        ("a.sh", "llamafactory-cli train --dataset $DATA\n", r"\$DATA is not set in it"),
        ("a.sh", "llamafactory-cli train 'a\n", "not a line of a shell script"),
        ("a.sh", "llamafactory-cli train b.yaml\n", r"b\.yaml: no such file"),
        ("a.yaml", "a: [\n", "not valid YAML"),
        ("a.yaml", "stage: dpo\n", r"a\.yaml: stage: dpo: preferences"),
        ("a.yaml", "- 1\n", "this file holds a ListConfig"),
    ],
)
def test_file_that_can_not_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    with pytest.raises(MullError, match=message) as raised:
        main([name])
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.recipe
def test_imported_recipes_run(there: Path) -> None:
    """Two data sets, their mix, and three steps of a tiny model on it."""
    model = tiny_model(Path("tiny").resolve())
    more = f"model_name_or_path: {model}\nmax_steps: 3\nper_device_train_batch_size: 2\noutput_dir: saves/a\n"
    text = TRAIN.format(names="one,two").replace("model_name_or_path: Qwen/Qwen3-4B-Instruct-2507\n", "")
    (there / "train.yaml").write_text(text.replace("output_dir: saves/qwen3-4b/lora/sft\n", "") + more)
    main([str(there / "train.yaml"), "-o", "a.yaml"])
    curate("a_mix.yaml")
    assert len(Path("outputs/curate/a_mix/train.jsonl").read_text().splitlines()) == 24
    train_sft("a.yaml")
    assert (Path("saves/a") / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.recipe
def test_imported_pre_training_runs(there: Path) -> None:
    """Three steps of a tiny model on packed texts."""
    more = f"stage: pt\nmodel_name_or_path: {tiny_model(Path('tiny').resolve())}\ncutoff_len: 128\nmax_steps: 3\n"
    main([train_file(there, "wiki", f"{more}per_device_train_batch_size: 2\noutput_dir: saves/b\n"), "-o", "b.yaml"])
    train_sft("b.yaml")
    assert (Path("saves/b") / "adapter" / "adapter_model.safetensors").is_file()
