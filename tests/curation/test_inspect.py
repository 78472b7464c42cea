"""What `curation.inspect` says of a file."""

import json
import os
from pathlib import Path

import pytest

from configs.errors import ConfigError
from curation.inspect import main, quantiles
from tests.data.test_sheet_rows import Cell, workbook

REAL = os.environ.get("MULL_DATA")


def test_file_is_described_with_its_bad_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": f"{i} + 1?", "thinking": f"{i} + 1 = {i + 1}.", "reply": str(i + 1)} for i in range(5)]
    path = tmp_path / "a.jsonl"
    rows.append({"question": "early?", "thinking": "a<|im_end|>b", "reply": "1", "id": "e1"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"question": "x?"}\n')
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert "layout: traces\nencoding: utf-8\n" in said
    assert "<|im_start|>user\n0 + 1?<|im_end|>" in said
    assert "⟦0 + 1 = 1.\n<|im_start|>answer\n1<|im_end|>⟧" in said
    assert said.count("────") == 3
    assert "rows: 5, 5 with thinking; rejected: 2" in said
    assert f"{path}:7" in said
    assert f"would end the turn early; remove the row (first: {path}:e1)" in said
    assert "tokens: min" in said


def test_residue_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("question,answer\na?,<p>b</p>\nc?,d\n")
    assert main([str(tmp_path / "a.csv")]) == 0
    assert "rows with HTML tags, left as they are: 1, such as a-2: <p>b</p>\n" in capsys.readouterr().out


def test_mapping_is_given_as_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("q,a\n1 + 1?,2\n")
    assert main([str(tmp_path / "a.csv"), "question=q", "reply=a"]) == 0
    assert "rows: 1, 0 with thinking" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="write key=column"):
        main([str(tmp_path / "a.csv"), "question"])


def test_file_is_shown_as_its_task_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet: list[list[Cell]] = [["text", "标准词"], ["右肺癌", "肺恶性肿瘤"], ["左肾", None]]
    path = workbook(tmp_path / "a.xlsx", {"词": sheet})
    assert main([str(path), "--task", "term_normalisation_zh", "原始词=text"]) == 1
    said = capsys.readouterr().out
    assert "layout: task term_normalisation_zh\n" in said
    assert "encoding" not in said
    assert "原始词：右肺癌<|im_end|>" in said
    assert "⟦肺恶性肿瘤<|im_end|>⟧" in said
    assert f"1 × task term_normalisation_zh: empty reply (first: {path}:3)" in said


def test_quantiles_are_lengths_of_rows() -> None:
    found = quantiles(list(range(1, 101)))
    assert found == {"min": 1, "50%": 50, "90%": 90, "95%": 95, "99%": 99, "max": 100}
    assert quantiles([7]) == dict.fromkeys(found, 7)


@pytest.mark.recipe
@pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")
def test_encoding_of_chinese_file_is_named(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main([f"{REAL}/medical_zh/internal_medicine_gbk.csv"]) == 0
    assert "gb18030" in caplog.text
    assert "rows: 7,644" in capsys.readouterr().out


def test_document_is_shown_with_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "高血压。\\n\\nA text."}\n')
    assert main([str(tmp_path / "a.jsonl")]) == 0
    said = capsys.readouterr().out
    assert "layout: text\n" in said
    assert "\n⟦高血压。\n\nA text.<|im_end|>⟧" in said
