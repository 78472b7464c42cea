"""Rows of several sources in one training set, each with its share."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError, RunError
from configs.recipe import validate
from configs.resume import resumed_config
from configs.run_directory import RunDir
from configs.schema.sft import SftConfig
from data.think_format import NONE
from sft.prepare import prepare

pytestmark = pytest.mark.engine


def written(folder: Path) -> dict[str, str]:
    """30 documents, 12 questions, and 100 others."""
    rows = {
        "corpus": [{"text": f"Document {i}."} for i in range(30)],
        "general": [{"question": f"{i}?", "answer": f"general {i}"} for i in range(12)],
        "other": [{"question": f"{i}!", "answer": f"other {i}"} for i in range(100)],
    }
    for name, found in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return {name: str(folder / f"{name}.jsonl") for name in rows}


def recipe(folder: Path, **changes: Any) -> SftConfig:
    values = {"model": {"name": "smollm2-135m"}, "output_dir": str(folder / "out"), **changes}
    checked: SftConfig = validate("sft", values, "test.yaml")
    return checked


def test_sources_have_their_shares(tmp_path: Path, tokenizer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path)
    mix = [{"path": files["general"], "share": 0.25}, {"path": files["other"], "share": 0.25, "seed": 3}]
    config = recipe(tmp_path, data={"path": files["corpus"]}, mix=mix)
    data = prepare(config, tokenizer, NONE)
    texts = [tokenizer.decode(row.input_ids) for row in data.train]
    assert sum(row.is_document for row in data.train) == 24
    assert sum("general" in text for text in texts) == sum("other" in text for text in texts) == 12
    assert "mix: 24 of 30 rows of data, 12 of 12 rows of mix.0, 12 of 100 rows of mix.1" in capsys.readouterr().out
    assert prepare(config, tokenizer, NONE).train == data.train


def test_one_source_keeps_all_of_its_rows(tmp_path: Path, tokenizer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    data = prepare(recipe(tmp_path, data={"path": written(tmp_path)["other"]}), tokenizer, NONE)
    assert [row.id for row in data.train] == [f"other-{line}" for line in range(1, 101)]
    assert "mix" not in capsys.readouterr().out


@pytest.mark.parametrize("mixed", [[], ["bad"], ["other"]])
def test_source_of_bad_rows_alone_is_named(tmp_path: Path, tokenizer: Any, mixed: list[str]) -> None:
    files = written(tmp_path) | {"bad": str(tmp_path / "bad.jsonl")}
    (tmp_path / "bad.jsonl").write_text('{"question": "a?", "answer": ""}\n' * 2)
    mix = [{"path": files[name], "share": 0.5} for name in mixed]
    data = files["other" if "bad" in mixed else "bad"]
    config = recipe(tmp_path, data={"path": data}, mix=mix, bad_rows="skip")
    with pytest.raises(DataError, match=r"no row is left; 2 are bad, the first in .*bad\.jsonl: empty answer; mend"):
        prepare(config, tokenizer, NONE)


def test_shares_leave_some_for_the_data(tmp_path: Path) -> None:
    mix = [{"path": "a.jsonl", "share": 0.5}] * 2
    with pytest.raises(ConfigError, match="mix: shares of 1 in all leave nothing for `data`; lower them"):
        recipe(tmp_path, data={"path": "b.jsonl"}, mix=mix)


def test_resumed_run_has_the_same_mix(tmp_path: Path) -> None:
    files = written(tmp_path)
    mix = [{"path": files["general"], "share": 0.25}]
    config = recipe(tmp_path, data={"path": files["corpus"]}, mix=mix)
    run = RunDir(config.output_dir)
    run.start(config, resume=False)
    assert resumed_config(config, run) == config
    with pytest.raises(RunError, match=r"started with another model or other data \(mix: .* → \[\]\)"):
        resumed_config(recipe(tmp_path, data={"path": files["corpus"]}), run)
