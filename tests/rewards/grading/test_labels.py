"""The grader against real model outputs with labels, and against rewritings and near misses of real gold answers."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.hard_answers import hard_cases
from rewards.grading.extract import extract
from rewards.grading.math_equivalence import grade_many, grade_texts

DATA = Path(os.environ.get("MULL_DATA", "nowhere"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="MULL_DATA does not name the data folder")


@needs_data
def test_grades_agree_with_gsm8k_labels() -> None:
    lines = (DATA / "gsm8k" / "example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    outputs = [(row["ground_truth"], row[model]) for row in rows for model in row if isinstance(row[model], dict)]
    grades = grade_texts(
        [extract(truth).answer or "" for truth, _ in outputs], [output["solution"] for _, output in outputs]
    )
    agreed = sum(grade is output["is_correct"] for grade, (_, output) in zip(grades, outputs, strict=True))
    assert len(outputs) == 5276
    assert agreed / len(outputs) >= 0.999


@needs_data
@pytest.mark.parametrize("equivalent", [True, False])
def test_rewritings_differ_from_near_misses(equivalent: bool) -> None:
    lines = (DATA / "math500" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in hard_cases(json.loads(line)["answer"] for line in lines) if case.equivalent is equivalent]
    grades = grade_many([case.gold for case in cases], [case.answer for case in cases], timeout=30)
    wrong = [(case, grade) for case, grade in zip(cases, grades, strict=True) if grade is not equivalent]
    assert len(wrong) <= 0.01 * len(cases), wrong[:20]


def test_every_hard_set_rule_writes_cases() -> None:
    golds = [
        *(
            "2220",
            "0.15",
            "\\frac{14}{3}",
            "\\frac43",
            "10,\\!080",
            "\\text{east}",
            "\\text{(C)}",
            "90^\\circ",
            "\\$18.90",
        ),
        *(
            "5.4 \\text{ cents}",
            "15\\mbox{ cm}^2",
            "x=5",
            "y = 2x + 3",
            "1,-2",
            "(3,4]",
            "(5,\\infty)",
            "(6,31,-1)",
            "52_8",
        ),
        *("3\\sqrt{13}", "12\\pi", "\\frac{\\sqrt{3}}{3}", "1 \\pm \\sqrt{19}", "p - q", "(2,12) \\cup (12,102)"),
        *("\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}", "\\{1\\pm\\sqrt{5},-2\\}"),
    ]
    cases = hard_cases(golds)
    assert len({case.rule for case in cases}) == 21
    assert not any(case.answer == case.gold for case in cases)
    grades = grade_many([case.gold for case in cases], [case.answer for case in cases], timeout=30)
    assert [case for case, grade in zip(cases, grades, strict=True) if grade is not case.equivalent] == []
