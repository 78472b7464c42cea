"""Multiple choice: where options come from, how a question lists them, what the gold answer names."""

from typing import Any

import pytest

from data.layouts import BadRow
from data.options import options, pose, stem
from data.problem import Problem

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
    with pytest.raises(BadRow, match="names none of the options"):
        pose(problem(gold, choices=list(FOUR.values())))


def test_an_option_without_a_text_is_an_error_that_names_the_problem() -> None:
    with pytest.raises(BadRow, match="an option has no 'text'"):
        pose(problem("A", options=[{"label": "A", "content": "10"}]))


def test_a_gold_answer_with_two_readings_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(BadRow, match="can be read as each of A, B"):
        pose(problem("1", choices=["1", "7", "9"]))


def test_a_problem_without_options_stays_as_it_is() -> None:
    assert pose(problem("10")) == problem("10")


def test_a_posed_problem_is_graded_by_choice() -> None:
    assert pose(problem("B", choices=["10", "12"])).grader == "choice"
    assert pose(problem("12")).grader == "math"


def test_the_stem_is_the_question_without_its_options() -> None:
    assert stem(pose(problem("B", choices=["10", "12"]))) == "What is 3 + 7?"
    assert stem(problem("B", choices=["10", "12"])) == "What is 3 + 7?"


def test_more_labels_than_texts_are_an_error() -> None:
    with pytest.raises(BadRow, match="more labels than texts"):
        pose(problem("A", choices={"label": ["A", "B"], "text": ["10"]}))
