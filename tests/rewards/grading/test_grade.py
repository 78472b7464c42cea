"""Grading: each benchmark's gold answers against themselves and against shuffled ones, families, broken golds."""

import os
import random
from collections import Counter
from typing import Any

import pytest

from configs.schema.sections import DataConfig
from data.problem import Problem
from data.sources import load_problems
from data.think_format import S1
from rewards.grading.extract import extract
from rewards.grading.grade import grade, is_broken, ungradable

FULL = {"aime24": (None, 30), "math500": (None, 500), "gsm8k": ("test", 1319)}
real_data = pytest.mark.skipif("MULL_DATA" not in os.environ, reason="MULL_DATA names no folder of real data")


def rows_of(problems: list[Problem], answers: list[str], formatted: bool = False) -> list[dict[str, Any]]:
    """As a run would have them: the answer extracted from a completion that gives it."""
    texts = [S1.render("Let me see.", f"The answer is \\boxed{{{answer}}}.") for answer in answers]
    found = [extract(text, S1).answer for text in texts]
    return [{"id": p.id, "gold": p.answer, "extracted": a} for p, a in zip(problems, found, strict=True)]


@real_data
@pytest.mark.parametrize("source", list(FULL))
def test_gold_answers_grade_as_right_against_themselves_in_full(source: str) -> None:
    split, size = FULL[source]
    problems = load_problems(DataConfig(source=source, split=split))
    assert len(problems) == size
    assert not [p.id for p in problems if is_broken(p.answer)]
    by_id = {p.id: p for p in problems}
    verdicts = grade(rows_of(problems, [p.answer for p in problems]), by_id)
    assert Counter(v.correct for v in verdicts) == {True: size}


@real_data
@pytest.mark.parametrize("source", list(FULL))
def test_shuffled_gold_answers_grade_at_their_chance_level(source: str) -> None:
    split, size = FULL[source]
    problems = load_problems(DataConfig(source=source, split=split))
    shuffled = [p.answer for p in problems]
    random.Random(0).shuffle(shuffled)
    verdicts = grade(rows_of(problems, shuffled), {p.id: p for p in problems})
    chance = sum(count * count for count in Counter(shuffled).values()) / size**2  # that two draws are the same string
    right = sum(v.correct is True for v in verdicts) / size
    assert abs(right - chance) <= 0.01 + 3 * (chance * (1 - chance) / size) ** 0.5
    assert not [v.reason for v in verdicts if v.correct is None]


def problem(answer: str, **metadata: Any) -> Problem:
    return Problem("q", "?", answer, "file", metadata=metadata)


def verdict(it: Problem, extracted: str | None) -> tuple[bool | None, str]:
    [found] = grade([{"id": "q", "gold": it.answer, "extracted": extracted}], {"q": it})
    return found.correct, found.reason


def test_a_missing_answer_is_wrong() -> None:
    assert verdict(problem("7"), None) == (False, "no answer")


@pytest.mark.parametrize("gold", ["\\frac{1}{", "\\left( 3", "\\sqrt{2"])
def test_a_gold_answer_left_open_makes_its_samples_ungraded(gold: str) -> None:
    assert is_broken(gold)
    assert verdict(problem(gold), "7") == (None, "gold answer can't be parsed")
    assert verdict(problem(gold), None) == (None, "gold answer can't be parsed")


@pytest.mark.parametrize("gold", ["7", "Monday", "\\frac{1}{2}", "x^2 + 1", "\\text{(A)}", "3,5,7", "\\{1, 2\\}"])
def test_ordinary_gold_answers_are_not_broken(gold: str) -> None:
    assert not is_broken(gold)


def test_an_option_is_graded_by_its_label() -> None:
    it = problem("B", choices=["10", "12"])
    assert verdict(it, "(B)") == (True, "option B")
    assert verdict(it, "12") == (True, "option B")
    assert verdict(it, "10") == (False, "option A")
    assert verdict(it, "14") == (False, "no option")
    assert verdict(it, None) == (False, "no option")


def test_a_generated_family_is_graded_by_its_own_score() -> None:
    [it] = load_problems(DataConfig(source="reasoning_gym:basic_arithmetic", limit=1))
    right = problem(it.answer, **it.metadata)
    assert verdict(right, it.answer)[0] is True
    assert verdict(right, "123456789")[0] is False
    assert verdict(right, None) == (False, "no answer")


def test_a_gold_answer_that_its_family_scores_need_not_parse() -> None:
    [it] = load_problems(DataConfig(source="reasoning_gym:n_queens", limit=1))
    assert ungradable(problem(it.answer))
    assert not ungradable(it)


def test_a_scorer_that_fails_makes_its_sample_ungraded() -> None:
    broken = problem("7", family="basic_arithmetic", entry=None)
    correct, reason = verdict(broken, "7")
    assert correct is None
    assert reason.startswith("scorer failed")
