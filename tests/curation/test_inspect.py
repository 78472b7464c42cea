"""What `curation.inspect` says of a file."""

import json
import os
from pathlib import Path

import pytest

from configs.errors import ConfigError
from curation.inspect import main
from curation.inspection_record import MOST_SHOWN, Inspection, ShownRow, quantiles
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


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Inspection]:
    code = main([*arguments, "--json"])
    return code, Inspection.from_json(json.loads(capsys.readouterr().out))


def test_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "表.csv"
    rows = "".join(f"第{i}天能吃什么药？,按时服用第{i}号药。\n" for i in range(9))
    path.write_bytes(f"问,答\n{rows}坏,一,二\n".encode("gbk"))
    code, found = as_json(capsys, str(path), "question=问", "reply=答")
    assert (code, found.layout, found.columns) == (1, "mapping", ["问", "答"])
    assert found.encodings == {"gb18030": [str(path)]}
    assert [(bad.count, bad.rows) for bad in found.bad] == [(1, ["11"])]
    assert found.rows == 9
    assert found.over(1) == 9
    assert found.over(1000) == 0
    assert (len(found.shown), found.shown[0].completion) == (3, "按时服用第0号药。<|im_end|>")


def test_json_says_why_and_which_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("q,a\n1 + 1?,2\n")
    code, found = as_json(capsys, str(tmp_path / "a.csv"))
    assert (code, found.columns) == (2, ["q", "a"])
    assert "no known layout" in found.fault
    code, found = as_json(capsys, str(tmp_path / "b.csv"))
    assert (code, found.columns) == (2, [])
    assert "no such file" in found.fault


def test_first_rows_alone_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("question,answer\n" + "1 + 1?,2\n,\n" * 50)
    _, found = as_json(capsys, str(tmp_path / "a.csv"), "--rows", "10")
    assert (found.rows, found.rejected, found.is_whole) == (5, 5, False)
    assert main([str(tmp_path / "a.csv"), "--max-length", "3"]) == 1
    said = capsys.readouterr().out
    assert "rows: 50, 0 with thinking; rejected: 50\n" in said
    assert "over 3 tokens: 50" in said


def test_benchmark_is_looked_at_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = as_json(capsys, "arithmetic", "--hub")
    assert (code, found.layout, found.rows) == (0, "problems of arithmetic", 1000)


def test_long_texts_are_cut_in_json() -> None:
    shown = ShownRow("a", 9, "x" * (MOST_SHOWN + 7), "y")
    [cut] = Inspection(shown=[shown]).as_json()["shown"]
    assert "\n[… 7 characters …]\n" in cut["prompt"]
    assert cut["completion"] == "y"


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


PROBLEMS = [("2 + 2?", "4"), ("Half?", r"\frac{1}{2"), ("", "4"), ("Third?", r"\frac{1}{3"), ("Who?", "nobody at all")]


def test_problems_are_shown_as_grpo_asks_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in PROBLEMS))
    code, found = as_json(capsys, str(path), "--problems")
    assert (code, found.layout, found.are_problems, found.rows) == (1, "problems", True, 4)
    assert found.shown[0].prompt.endswith("2 + 2?<|im_end|>\n<|im_start|>assistant\n<|im_start|>think\n")
    assert (found.shown[0].completion, found.shown[0].gold) == ("", "4")
    assert [(bad.count, bad.rows) for bad in found.bad] == [(1, ["3"])]
    [unread] = found.unread
    assert (unread.count, unread.rows) == (2, ["file-train-2", "file-train-4"])
    assert unread.first == r"file-train-2: \frac{1}{2"
    assert main([str(path), "--problems", "--max-length", "3"]) == 1
    said = capsys.readouterr().out
    assert "gold answer: 4\n" in said
    assert "problems: 4; rejected: 1\n" in said
    assert "can't read: 2 of 4 (50.0%)" in said
    assert "tokens of the prompts: min" in said
    assert "over 3 tokens: 4" in said


def test_problems_whose_columns_are_unknown_say_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("q,gold\n1 + 1?,2\n2 + 1?,3\n")
    code, found = as_json(capsys, str(tmp_path / "a.csv"), "--problems")
    assert (code, found.columns) == (2, ["q", "gold"])
    assert "no question in column 'question'" in found.fault
    code, found = as_json(capsys, str(tmp_path / "a.csv"), "--problems", "--rows", "1", "question=q", "answer=gold")
    assert (code, found.rows, found.is_whole) == (0, 1, False)


def test_quantiles_are_lengths_of_rows() -> None:
    found = quantiles(dict.fromkeys(range(1, 101), 1))
    assert found == {"min": 1, "50%": 50, "90%": 90, "95%": 95, "99%": 99, "max": 100}
    assert quantiles({7: 1}) == dict.fromkeys(found, 7)


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
