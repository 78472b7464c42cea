"""Generated arithmetic problems: right, varied, reproducible, and new for every seed."""

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import DataError
from data import arithmetic
from data.arithmetic import generate_problems, vocabulary
from data.corpus import solution_traces
from data.problem import Problem

LINE = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)\.")


@given(seed=st.integers(0, 10_000), least=st.integers(1, 4), largest=st.integers(20, 300))
def test_every_line_of_a_solution_is_right(seed: int, least: int, largest: int) -> None:
    for problem in generate_problems(20, seed, (least, 4), largest):
        assert problem.solution is not None
        lines = problem.solution.split("\n")
        assert least <= len(lines) <= 4
        for line in lines:
            match = LINE.fullmatch(line)
            assert match is not None, line
            left, operation, right, result = int(match[1]), match[2], int(match[3]), int(match[4])
            exact = {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[operation]
            assert exact == result
            assert all(2 <= number <= largest for number in (left, right, result))
        assert lines[-1].endswith(f"= {problem.answer}.")


@given(seed=st.integers(0, 10_000))
def test_lines_use_only_known_numbers(seed: int) -> None:
    for problem in generate_problems(20, seed):
        assert problem.solution is not None
        given_numbers = set(re.findall(r"\d+", problem.question))
        known = set(given_numbers)
        previous = None
        for left, _, right, result in LINE.findall(problem.solution):
            assert {left, right} <= known
            assert previous is None or previous in (left, right)
            known.add(result)
            previous = result


def test_question_has_no_unfilled_template() -> None:
    for problem in generate_problems(2000, 3):
        assert not re.search(r"[{}]", problem.question)
        assert problem.question.endswith("?")


@pytest.mark.parametrize(
    ("seed", "params", "recorded"),
    [
        (0, {}, "50537fed7f38e4e08544dde74c33ca3a118884c6dea7ecffa7e5d559789e284c"),
        (1, {}, "448181b44d5626a400e418d0116d973a81a7d687a47c75e9414ccfc9d4bf1f17"),
        (4, {"steps": (1, 6), "largest": 500}, "97b2b69d0973113b96bb3072e85407349016ba435b93141617d1cfb234609926"),
    ],
)
def test_seed_gives_the_recorded_problems(seed: int, params: dict[str, Any], recorded: str) -> None:
    rows = [asdict(problem) for problem in generate_problems(300, seed, **params)]
    younger = [
        {name: row.pop(name) for name in ("grader", "system", "history", "key", "references")} for row in rows
    ]  # than the record
    defaults = {"grader": "math", "system": None, "history": (), "key": "", "references": ()}
    assert all(fields == defaults for fields in younger)
    made = json.dumps(rows, sort_keys=True)
    assert hashlib.sha256(made.encode()).hexdigest() == recorded


def test_seed_is_stable_across_processes() -> None:
    pairs = "[(p.question, p.answer) for p in generate_problems(50, 9)]"
    code = f"from data.arithmetic import generate_problems; print({pairs})"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{[(p.question, p.answer) for p in generate_problems(50, 9)]}\n"}


def test_questions_differ_within_and_across_seeds() -> None:
    first, second = ({p.question for p in generate_problems(3000, seed)} for seed in (0, 1))
    assert len(first) == len(second) == 3000
    assert len(first & second) < 10


def test_all_operations_and_step_counts_occur() -> None:
    problems = generate_problems(2000, 0)
    operations = [operation for p in problems for _, operation, _, _ in LINE.findall(p.solution or "")]
    assert all(operations.count(operation) > len(operations) / 10 for operation in "+-*/")
    assert {p.metadata["steps"] for p in problems} == {2, 3, 4}
    assert len({p.metadata["scenario"] for p in problems}) >= 10


def test_traces_think_the_solution() -> None:
    problems = generate_problems(5, 0)
    for problem, trace in zip(problems, solution_traces(problems), strict=True):
        assert (trace.id, trace.question) == (problem.id, problem.question)
        assert trace.thinking == problem.solution
        assert trace.reply == trace.answer == problem.answer


def test_problem_without_solution_makes_no_trace() -> None:
    with pytest.raises(DataError, match="p1: no solution"):
        solution_traces([Problem(id="p1", question="?", answer="1", source="file")])


@pytest.mark.parametrize("steps", [(0, 2), (3, 2), (2, 7)])
def test_impossible_step_counts_are_refused(steps: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="steps_min"):
        generate_problems(1, 0, steps)


def test_only_requested_operations_appear() -> None:
    problems = generate_problems(300, 5, largest=50, operations=["+", "*"])
    used = {operation for p in problems for _, operation, _, _ in LINE.findall(p.solution or "")}
    assert used == {"+", "*"}


@pytest.mark.parametrize("wrong", [{"largest": 19}, {"operations": []}, {"operations": ["^"]}])
def test_impossible_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="arithmetic: largest"):
        generate_problems(1, 0, **wrong)


def test_search_for_missing_problems_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"operations \['/'\] make no problem of [234] steps"):
        generate_problems(3, 0, operations=["/"])
    few = replace(vocabulary(), scenarios=vocabulary().scenarios[:1])
    monkeypatch.setattr(arithmetic, "vocabulary", lambda: few)
    monkeypatch.setattr(arithmetic, "TRIES", 100)
    with pytest.raises(DataError, match=r"1000000 problems wanted, only \d+ different ones found; lower data\.params"):
        generate_problems(1_000_000, 0, steps=(1, 1), largest=20, operations=["/"])
