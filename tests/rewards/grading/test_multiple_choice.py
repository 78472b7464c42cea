"""Multiple choice: where options come from, what the gold answer names, what a model chose."""

from typing import Any

import pytest

from configs.errors import DataError
from data.problem import Problem
from rewards.grading.multiple_choice import chosen, options, pose

FOUR = {"A": "10", "B": "12", "C": "a pear", "D": "None of these"}


def problem(answer: str, **metadata: Any) -> Problem:
    return Problem("q1", "What is 3 + 7?", answer, "file", metadata=metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        {"choices": list(FOUR.values())},
        {"options": list(FOUR.values())},
        {"choices": {"label": list(FOUR), "text": list(FOUR.values())}},
        {"choices": [{"label": label, "text": text} for label, text in FOUR.items()]},
        {"options": [{"id": label, "text": text} for label, text in FOUR.items()]},
        {"options": [{"text": text} for text in FOUR.values()]},
        {"options": [{"label": None, "text": text} for text in FOUR.values()]},
        {"options": FOUR},
        FOUR,
    ],
)
def test_options_are_read_in_every_usual_shape(metadata: dict[str, Any]) -> None:
    assert options(metadata) == FOUR


@pytest.mark.parametrize("bare", [True, False])
def test_more_options_than_letters_are_all_there(bare: bool) -> None:
    texts = [f"option {i}" for i in range(30)]
    found = options({"choices": texts if bare else [{"label": f"L{i}", "text": text} for i, text in enumerate(texts)]})
    assert list(found.values()) == texts


def test_a_column_called_a_is_no_option_list() -> None:
    assert options({"A": "x", "level": 3}) == {}


def test_options_join_the_question_and_the_gold_answer_becomes_a_label() -> None:
    posed = pose(problem("a pear", choices=list(FOUR.values())))
    assert posed.question == "What is 3 + 7?\n\nA) 10\nB) 12\nC) a pear\nD) None of these"
    assert posed.answer == "C"


@pytest.mark.parametrize(("gold", "label"), [("B", "B"), ("12", "B"), ("3", "D")])
def test_the_gold_answer_may_be_a_label_a_text_or_an_index(gold: str, label: str) -> None:
    assert pose(problem(gold, choices=list(FOUR.values()))).answer == label


@pytest.mark.parametrize("gold", ["E", "pear", "9"])
def test_a_gold_answer_that_names_no_option_is_an_error(gold: str) -> None:
    with pytest.raises(DataError, match=r"q1.*names none of the options"):
        pose(problem(gold, choices=list(FOUR.values())))


def test_an_option_without_a_text_is_an_error_that_names_the_problem() -> None:
    with pytest.raises(DataError, match=r"file: problem q1: an option has no 'text'"):
        pose(problem("A", options=[{"label": "A", "content": "10"}]))


def test_a_gold_answer_with_two_readings_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(DataError, match="can be read as each of A, B"):
        pose(problem("1", choices=["1", "7", "9"]))


def test_a_problem_without_options_stays_as_it_is() -> None:
    assert pose(problem("10")) == problem("10")


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
def test_an_answer_names_an_option_by_label_or_by_text(answer: str, label: str | None) -> None:
    assert chosen(answer, FOUR) == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("(b)", "b"), ("B", "b"), ("b) 12", "b"), ("(C).", "c"), ("(d)", None), ("aa", "aa"), ("(aa) x", "aa"),
    ],
)  # fmt: skip
def test_labels_may_be_any_and_any_case(answer: str, label: str | None) -> None:
    assert chosen(answer, {"a": "10", "b": "12", "c": "14", "aa": "16"}) == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("(3)", "3"), ("3) y", "3"), ("3. y", "3"), ("3: 12", "3"), ("option 3", "3"), ("\\text{3}", "3"),
        ("3.5", None), ("3:1", None), ("13", None), ("-3", None), ("3,000", None), ("5", None),
    ],
)  # fmt: skip
def test_a_number_is_a_label_and_not_the_start_of_another_number(answer: str, label: str | None) -> None:
    assert chosen(answer, {"1": "v", "2": "x", "3": "y", "4": "z"}) == label


def test_a_label_comes_before_another_option_s_text() -> None:
    assert chosen("C", {"A": "C", "B": "x", "C": "y"}) == "C"
    assert chosen("3", {"1": "3", "2": "4", "3": "1"}) == "3"
    assert chosen("4", {"1": "3", "2": "4", "3": "1"}) == "2"
