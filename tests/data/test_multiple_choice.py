"""Multiple choice: where options come from, how a question lists them, what the gold answer names."""

from typing import Any

import pytest

from data.multiple_choice import options, pose, stem
from data.problem import Problem
from data.row import BadRow

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
def test_options_are_read_in_every_shape(metadata: dict[str, Any]) -> None:
    assert options(metadata) == FOUR


@pytest.mark.parametrize("bare", [True, False])
def test_thirty_options_are_read(bare: bool) -> None:
    texts = [f"option {i}" for i in range(30)]
    found = options({"choices": texts if bare else [{"label": f"L{i}", "text": text} for i, text in enumerate(texts)]})
    assert list(found.values()) == texts


def test_lone_column_a_is_no_option() -> None:
    assert options({"A": "x", "level": 3}) == {}


def test_posed_question_lists_the_options() -> None:
    posed = pose(problem("a pear", choices=list(FOUR.values())))
    assert posed.question == "What is 3 + 7?\n\nA) 10\nB) 12\nC) a pear\nD) None of these"
    assert posed.answer == "C"


@pytest.mark.parametrize(("gold", "label"), [("B", "B"), ("12", "B"), ("3", "D")])
def test_gold_may_be_label_text_or_index(gold: str, label: str) -> None:
    assert pose(problem(gold, choices=list(FOUR.values()))).answer == label


@pytest.mark.parametrize("gold", ["E", "pear", "9"])
def test_gold_that_names_no_option_is_an_error(gold: str) -> None:
    with pytest.raises(BadRow, match="names none of the options"):
        pose(problem(gold, choices=list(FOUR.values())))


def test_option_without_text_is_an_error() -> None:
    with pytest.raises(BadRow, match="an option has no 'text'"):
        pose(problem("A", options=[{"label": "A", "content": "10"}]))


def test_ambiguous_gold_is_an_error() -> None:
    with pytest.raises(BadRow, match="can be read as each of A, B"):
        pose(problem("1", choices=["1", "7", "9"]))


def test_problem_without_options_is_unchanged() -> None:
    assert pose(problem("10")) == problem("10")


def test_posed_problem_is_graded_by_choice() -> None:
    assert pose(problem("B", choices=["10", "12"])).grader == "choice"
    assert pose(problem("12")).grader == "math"


def test_stem_leaves_out_the_options() -> None:
    assert stem(pose(problem("B", choices=["10", "12"]))) == "What is 3 + 7?"
    assert stem(problem("B", choices=["10", "12"])) == "What is 3 + 7?"


def test_more_labels_than_texts_are_an_error() -> None:
    with pytest.raises(BadRow, match="more labels than texts"):
        pose(problem("A", choices={"label": ["A", "B"], "text": ["10"]}))


def test_label_of_the_rows_own_is_the_answer() -> None:
    assert pose(problem("A", choices={"A": "B", "B": "A"})).answer == "A"
    with pytest.raises(BadRow, match="can be read as each of A, B"):
        pose(problem("A", choices=["B", "A"]))
