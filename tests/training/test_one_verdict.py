"""One completion has one verdict: as a reward, held out, evaluated, distilled."""

import json
from pathlib import Path

import pytest

from configs.sample import Sample
from configs.schema.sections import DataConfig
from curation.distillation import TeacherRequest, _row
from data.problem import Problem
from data.sources import load_problems
from data.splits import split_problems
from data.think_format import XML
from evaluation.sample_store import grade_samples
from rewards.grading.grade import extracted_answer, grade
from rewards.rollout import Rollout
from rewards.shipped.correctness import correctness, is_correct


def verdicts(problem: Problem, answer: str) -> dict[str, bool | None]:
    """What each place that judges says about one answer."""
    text = XML.render("Let me see.", answer)
    rollout = Rollout(problem, text, XML)
    sample = Sample(problem.id, extracted=extracted_answer(problem, text, XML))
    [reward] = correctness()([rollout])
    return {
        "reward": {2.0: True, 0.0: False, None: None}[reward],
        "training": is_correct([rollout])[0],
        "held out": grade([problem], [text], XML)[0].is_right,
        "evaluation": grade_samples([sample], {problem.id: problem})[0].is_right,
        "distillation": _row(TeacherRequest(problem, 0), text, "stop", "", XML)["correct"],
    }


@pytest.fixture
def capital(tmp_path: Path) -> DataConfig:
    row = {"question": "What is the capital of France?", "answer": "Paris", "choices": ["Rome", "Paris", "7", "Oslo"]}
    (tmp_path / "few.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    return DataConfig(path=str(tmp_path / "few.jsonl"))


@pytest.mark.parametrize(("answer", "right"), [("Paris", True), ("(b)", True), ("B", True), ("7", False), ("E", False)])
def test_option_has_one_verdict(capital: DataConfig, answer: str, right: bool) -> None:
    [problem] = load_problems(capital)
    assert set(verdicts(problem, answer).values()) == {right}


def test_training_prompt_lists_options(capital: DataConfig) -> None:
    [problem], _ = split_problems(capital, None)
    assert problem.question == "What is the capital of France?\n\nA) Rome\nB) Paris\nC) 7\nD) Oslo"
    assert (problem.answer, problem.grader) == ("B", "choice")


def test_recipe_may_ignore_options(capital: DataConfig) -> None:
    [problem] = load_problems(capital.model_copy(update={"grader": "math"}))
    assert (problem.question, problem.answer) == ("What is the capital of France?", "Paris")


def test_countdown_has_one_verdict() -> None:
    [problem] = load_problems(DataConfig(source="reasoning_gym:countdown", limit=1))
    made = problem.metadata["entry"]["metadata"]
    assert set(verdicts(problem, made["expression"]).values()) == {True}
    assert set(verdicts(problem, str(made["target"])).values()) == {False}
