"""Problems written down and read back."""

from fractions import Fraction
from pathlib import Path

import pytest

from configs.errors import DataError
from data.problem import Problem
from data.problem_file import read_problems, write_problems


def test_problems_round_trip(tmp_path: Path) -> None:
    problems = [
        Problem("a", "½ + ½?", "1", "file", "by halves", {"options": ["1", "2"], "entry": {"seed": 3}}),
        Problem("b", "2 + 2?", "4", "arithmetic", system="Be brief.", history=(("1 + 1?", "2"),)),
        Problem("c", "谁？", "鲁迅", "file", grader="text", references=("鲁迅", "周树人")),
    ]
    write_problems(tmp_path / "p.jsonl", problems)
    assert read_problems(tmp_path / "p.jsonl") == problems


def test_values_json_lacks_become_text(tmp_path: Path) -> None:
    write_problems(tmp_path / "p.jsonl", [Problem("a", "?", "1", "x", metadata={"share": Fraction(1, 3)})])
    assert read_problems(tmp_path / "p.jsonl")[0].metadata == {"share": "1/3"}


def test_row_needs_question_and_answer(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"question": "1 + 1?", "answer": "2"}\n')
    assert read_problems(file) == [Problem("mine-1", "1 + 1?", "2", "file")]
    file.write_text('{"question": "1 + 1?", "answer": "2", "references": ["two", "2"]}\n')
    assert read_problems(file)[0].references == ("2", "two")
    file.write_text('{"question": "1 + 1?", "answer": "2", "references": ["2", ""]}\n')
    with pytest.raises(DataError, match=r"mine\.jsonl:1: reply 2 of 2 is empty"):
        read_problems(file)
    file.write_text('{"question": "1 + 1?"}\n')
    with pytest.raises(DataError, match=r"mine\.jsonl:1: not a problem; write question and answer"):
        read_problems(file)
