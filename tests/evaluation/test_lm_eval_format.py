"""Answers of other tools in, lm-evaluation-harness's samples out and in again."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from configs.sample import Sample
from data.problem import Problem
from evaluation.lm_eval_format import Answer, lm_eval_rows, read_answers

PROBLEMS = [Problem("q1", "2 + 5?", "7", "file"), Problem("q2", "2 × 5?", "10", "file")]


def answers(tmp_path: Path, *rows: Any) -> list[Answer]:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return read_answers(path, PROBLEMS)


@pytest.mark.parametrize(
    "row",
    [
        {"id": "q2", "text": "10"},
        {"problem_id": "q2", "response": "10"},
        {"doc_id": 1, "output": "10"},
        {"index": 1, "completion": ["10"]},
        {"doc_id": 1, "resps": [["10"]], "filtered_resps": ["10"]},
        {"doc_id": 1, "doc": {"id": 77, "question": "$2 ×  5$ ?"}, "target": "#### 10", "resps": [["10"]]},
        {"doc_id": 0, "doc": {"id": "q2", "problem": "2 × 5"}, "resps": [["10"]]},
        {"doc_id": 1, "doc": {"id": "q1", "input": "2 × 5?"}, "resps": [["10"]]},
        {"doc_id": 1, "doc": {"id": "q1", "question": {"stem": "2 × 5?"}}, "resps": [["10"]]},
        {"doc": {"id": "q2", "input": "2 × 5?"}, "resps": [["10"]]},
        {"id": "q2", "doc": {"question": "Question: 2 × 5?"}, "resps": [["10"]]},
    ],
)
def test_answers_are_found_under_common_names(tmp_path: Path, row: dict[str, Any]) -> None:
    assert answers(tmp_path, row) == [Answer("q2", 0, "10")]


def test_samples_are_numbered_across_rows(tmp_path: Path) -> None:
    found = answers(tmp_path, {"id": "q1", "text": ["a", "b"]}, {"id": "q2", "text": "x"}, {"id": "q1", "text": "c"})
    assert [(one.id, one.sample, one.text) for one in found] == [
        ("q1", 0, "a"),
        ("q1", 1, "b"),
        ("q2", 0, "x"),
        ("q1", 2, "c"),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{half", r"answers.jsonl:1: not JSON"),
        ("[1]", r"answers.jsonl:1: not an object"),
        ({"text": "7"}, r"answers.jsonl:1: no id"),
        ({"id": "q9", "text": "7"}, r"no problem 'q9'"),
        ({"doc_id": 2, "text": "7"}, r"doc_id 2 is outside the benchmark's 2 problems"),
        (
            {"doc_id": 0, "doc": {"question": "2 × 5?"}, "resps": [["7"]]},
            r"answers.jsonl:1: its doc is another question",
        ),
        ({"doc_id": 0, "doc": {"Problem": "2 × 5?"}, "resps": [["7"]]}, r"another question than problem 'q1'"),
        ({"id": "q1", "score": 1}, r"answers.jsonl:1: no text"),
        ("", r"no answers in it"),
    ],
)
def test_unusable_row_is_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        answers(tmp_path, row)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_answers(tmp_path / "none.jsonl", PROBLEMS)


def sample(text: str, score: float | None, extracted: str | None) -> Sample:
    return Sample(id="p", text=text, score=score, extracted=extracted, prompt_hash="h")


def test_exported_rows_have_lm_eval_fields() -> None:
    samples = {"q1": [sample("it is 7", 1.0, "7"), sample("hm", 0.0, None)], "q2": [sample("?", None, "x")]}
    first, second = lm_eval_rows(PROBLEMS, samples, {"h": "PROMPT"}, {"temperature": 1.0})
    assert set(first) == {
        "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
        "prompt_hash", "target_hash", "exact_match",
    }  # fmt: skip
    assert first["arguments"] == {"gen_args_0": {"arg_0": "PROMPT", "arg_1": {"temperature": 1.0}}}
    assert first["resps"] == [["it is 7", "hm"]]
    assert first["filtered_resps"] == ["7", "[invalid]"]
    assert first["exact_match"] == 0.5
    assert second["exact_match"] is None
    assert first["prompt_hash"] == sha256(b"PROMPT").hexdigest()
    assert first["target_hash"] == sha256(b"7").hexdigest()
    text = json.dumps(first["doc"], indent=2, ensure_ascii=False)
    assert first["doc_hash"] == sha256(text.encode()).hexdigest()


def test_several_right_replies_are_several_targets() -> None:
    problem = Problem("q1", "?", "7", "file", references=("7", "seven"))
    [row] = lm_eval_rows([problem], {"q1": [sample("7", 1.0, "7")]}, {}, {})
    assert row["target"] == row["doc"]["answer"] == ["7", "seven"]


def test_export_can_be_read_back(tmp_path: Path) -> None:
    samples = {"q1": [sample("it is 7", 1.0, "7"), sample("hm", 0.0, None)], "q2": [sample("ten", 1.0, "10")]}
    found = answers(tmp_path, *lm_eval_rows(PROBLEMS, samples, {}, {}))
    assert [(one.id, one.text) for one in found] == [("q1", "it is 7"), ("q1", "hm"), ("q2", "ten")]
