"""Multiple choice: the option that an answer names, and the verdict on it."""

from typing import Any

import pytest

from data.problem import Problem
from rewards.grading.multiple_choice import chosen

FOUR = {"A": "10", "B": "12", "C": "a pear", "D": "None of these"}


def problem(answer: str, **metadata: Any) -> Problem:
    return Problem("q1", "What is 3 + 7?", answer, "file", metadata=metadata)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("B", "B"), ("b", "B"), ("(B)", "B"), ("B.", "B"), ("B) 12", "B"), ("(B) 12", "B"), ("B: 12", "B"), ("12", "B"),
        ("A Pear", "C"), ("option D", "D"), ("选项 D", "D"), ("D、None of these", "D"), ("E", None), ("13", None),
        ("A banana", None), ("", None), ("B or C", None), ("\\text{B}", "B"), ("\\textbf{(B)}", "B"),
        ("\\mathrm{B}", "B"), ("\\textbf{(B)}\\ 12", "B"), ("\\text{(B) }12", "B"), ("\\text{a pear}", "C"),
        ("\\text{E}", None),
    ],
)  # fmt: skip
def test_option_matches_by_label_or_text(answer: str, label: str | None) -> None:
    assert chosen(answer, FOUR) == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("(b)", "b"), ("B", "b"), ("b) 12", "b"), ("(C).", "c"), ("(d)", None), ("aa", "aa"), ("(aa) x", "aa"),
    ],
)  # fmt: skip
def test_labels_match_in_any_case(answer: str, label: str | None) -> None:
    assert chosen(answer, {"a": "10", "b": "12", "c": "14", "aa": "16"}) == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("(3)", "3"), ("3) y", "3"), ("3. y", "3"), ("3: 12", "3"), ("option 3", "3"), ("\\text{3}", "3"),
        ("3.5", None), ("3:1", None), ("13", None), ("-3", None), ("3,000", None), ("5", None),
    ],
)  # fmt: skip
def test_digit_label_is_no_number_prefix(answer: str, label: str | None) -> None:
    assert chosen(answer, {"1": "v", "2": "x", "3": "y", "4": "z"}) == label


def test_label_wins_over_option_text() -> None:
    assert chosen("C", {"A": "C", "B": "x", "C": "y"}) == "C"
    assert chosen("3", {"1": "3", "2": "4", "3": "1"}) == "3"
    assert chosen("4", {"1": "3", "2": "4", "3": "1"}) == "2"
