"""Benchmarks by name: files in the column layout that each has on the hub, with problems of our own."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.errors import DataError
from configs.schema.sections import DataConfig
from data.benchmark_rows import gpqa_row
from data.benchmarks import BENCHMARKS
from data.multiple_choice import options
from data.problem import Problem
from data.sources import load_problems
from rewards.grading.grade import grade_answers

MATHARENA = [{"problem_idx": 1, "answer": "25", "problem": "What is $5^2$?"}]
HMMT = [{"problem_idx": 1, "answer": r"\frac{9\sqrt{3}}{2}", "problem_type": ["Geometry"], "problem": "Which area?"}]
GPQA = {
    "Record ID": "rec1",
    "Question": "How many electrons does a helium atom have?\n",
    "Correct Answer": "2\n",
    "Incorrect Answer 1": "1",
    "Incorrect Answer 2": "3",
    "Incorrect Answer 3": "0",
    "Explanation": "Its nucleus has two protons.",
    "High-level domain": "Physics",
    "Subdomain": "Atomic physics",
    "Canary String": "",
}
OLYMPIAD = {
    "id": 7,
    "question": "How long is the hypotenuse?",
    "solution": ["By Pythagoras: 5.", "By similarity: 5."],
    "final_answer": ["$5$"],
    "context": "The legs of a triangle are 3 m and 4 m.",
    "image_1": None,
    "modality": "Text-only",
    "is_multiple_answer": False,
    "unit": "m",
    "answer_type": "Numerical",
    "error": None,
}
MMLU_PRO = {
    "question_id": 70,
    "question": "Which letter comes first?",
    "options": ["C", "A", "B", "D", "N/A"],
    "answer": "B",
    "answer_index": 1,
    "cot_content": "",
    "category": "other",
    "src": "ori_mmlu-letters",
}
AMC = [{"id": "0", "question": "What is 3 · 9?", "answer": "27.0", "url": "https://example.org/1"}]
MINERVA = [{"question": "How much energy, in erg?", "answer": "4.5e33"}]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case _:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def is_right(problem: Problem, answer: str) -> bool:
    return grade_answers([problem], [answer])[0].score == 1


LAYOUTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "aime26": ([{**MATHARENA[0], "answer": 25}], "025"),
    "hmmt_feb25": (HMMT, r"4.5\sqrt3"),
    "hmmt_nov25": (HMMT, r"\frac{9}{2}\sqrt{3}"),
    "amc23": (AMC, "27"),
    "minerva": (MINERVA, r"4.5 \times 10^{33}"),
    "olympiadbench": ([OLYMPIAD], r"500\text{ cm}"),
    "gpqa_diamond": ([GPQA], gpqa_row(GPQA)["answer"]),
    "mmlu_pro": ([MMLU_PRO], "B"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_local_copies_are_where_the_hub_has_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, answer = LAYOUTS[name]
    benchmark = BENCHMARKS[name]
    written(tmp_path / benchmark.local.format(split=benchmark.split), rows)
    monkeypatch.setenv("MULL_DATA", str(tmp_path))
    [problem] = load_problems(name)
    assert problem.source == name
    assert is_right(problem, answer)
    assert not is_right(problem, "-17")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_of_any_kind_reads_alike(name: str, suffix: str, tmp_path: Path) -> None:
    rows, answer = LAYOUTS[name]
    path = written(tmp_path / f"a{suffix}", rows)
    [problem] = load_problems(DataConfig(source=name, path=str(path)))
    assert is_right(problem, answer)


def test_gpqa_options_are_shuffled_by_their_question(tmp_path: Path) -> None:
    rows = [{**GPQA, "Record ID": f"rec{i}", "Question": f"Question {i}?"} for i in range(40)]
    path = written(tmp_path / "gpqa_diamond.csv", rows)
    problems = load_problems(DataConfig(source="gpqa_diamond", path=str(path)))
    assert all(options(problem.metadata)[problem.answer] == "2" for problem in problems)
    assert {problem.answer for problem in problems} == set("ABCD")
    few = written(tmp_path / "few.csv", rows[20:])
    again = load_problems(DataConfig(source="gpqa_diamond", path=str(few)))
    assert [problem.question for problem in again] == [problem.question for problem in problems[20:]]


def test_gpqa_row_is_a_whole_problem(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [GPQA])
    [problem] = load_problems(DataConfig(source="gpqa_diamond", path=str(path)))
    assert problem.id == "rec1"
    assert problem.grader == "choice"
    assert problem.solution == "Its nucleus has two protons."
    assert problem.question.startswith("How many electrons does a helium atom have?\n\nA) ")
    assert problem.metadata["Subdomain"] == "Atomic physics"
    assert "Correct Answer" not in problem.metadata


def test_mmlu_pro_letter_is_no_option_text(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [MMLU_PRO])
    [problem] = load_problems(DataConfig(source="mmlu_pro", path=str(path)))
    assert problem.answer == "B"
    assert problem.question == "Which letter comes first?\n\nA) C\nB) A\nC) B\nD) D"


def test_olympiad_row_has_context_and_unit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", [OLYMPIAD])
    [problem] = load_problems(DataConfig(source="olympiadbench", path=str(path)))
    assert problem.question == "The legs of a triangle are 3 m and 4 m.\n\nHow long is the hypotenuse?"
    assert problem.solution == "By Pythagoras: 5.\n\nBy similarity: 5."
    assert is_right(problem, "5")
    assert not is_right(problem, "5 cm")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("final", [["$4,-2$"], ["$4$", "$-2$"]])
def test_olympiad_answers_may_be_several(final: list[str], suffix: str, tmp_path: Path) -> None:
    row = {**OLYMPIAD, "final_answer": final, "is_multiple_answer": True}
    path = written(tmp_path / f"a{suffix}", [row])
    [problem] = load_problems(DataConfig(source="olympiadbench", path=str(path)))
    assert is_right(problem, "-2, 4")
    assert not is_right(problem, "4")


def test_olympiad_expression_has_no_unit(tmp_path: Path) -> None:
    row = {**OLYMPIAD, "final_answer": [r"$2 \pi r$"], "answer_type": "Expression"}
    path = written(tmp_path / "a.jsonl", [row])
    [problem] = load_problems(DataConfig(source="olympiadbench", path=str(path)))
    assert is_right(problem, r"2\pi r")


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("gpqa_diamond", {**GPQA, "Incorrect Answer 2": ""}, "a.jsonl:1: no option in column 'Incorrect Answer 2'"),
        ("mmlu_pro", {**MMLU_PRO, "options": []}, "a.jsonl:1: no list of options in column 'options'"),
        ("mmlu_pro", {**MMLU_PRO, "answer": "J"}, "a.jsonl:1: answer 'J' names none of the options"),
        ("olympiadbench", {**OLYMPIAD, "final_answer": []}, "a.jsonl:1: no answer in column 'answer'"),
    ],
)
def test_bad_row_is_named(name: str, row: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [row])
    with pytest.raises(DataError, match=re.escape(message)):
        load_problems(DataConfig(source=name, path=str(path)))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("aime_2026", "aime26"),
        ("gpqa", "gpqa_diamond"),
        ("GPQA-Diamond", "gpqa_diamond"),
        ("hmmt_feb_2025", "hmmt_feb25"),
        ("hmmt_nov_2025", "hmmt_nov25"),
        ("minerva_math", "minerva"),
        ("olympiad_bench", "olympiadbench"),
        ("mmlu-pro", "mmlu_pro"),
        ("amc_23", "amc23"),
    ],
)
def test_other_spellings_find_the_name(typed: str, meant: str) -> None:
    with pytest.raises(DataError, match=rf"did you mean '{meant}'\?"):
        load_problems(typed)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_release_is_a_month(name: str) -> None:
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", BENCHMARKS[name].released)
