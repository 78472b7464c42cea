"""Answers that hedge, doubt, take back or bound a value are not that value; a corrected one is."""

import pytest

from rewards.grading.math_equivalence import grade_many, grade_texts


@pytest.mark.parametrize(
    "text",
    [
        *(
            "The answer is 24. Or 25.",
            "The answer is 24. It might also be 25.",
            "The answer is 24 or something like that.",
        ),
        *("Answer: 24. Alternatively 25.", "I doubt that it is 24", "24 was my first guess, but it is wrong"),
        *("24 does not work", "24 will not do", "24 fails", "sum([24])", "24 squared", "24 cubed"),
    ],
)
def test_a_hedged_value_is_no_answer(text: str) -> None:
    assert grade_texts(["24"], [text]) == [False]


@pytest.mark.parametrize(
    "answer",
    [
        *("7 \\text{ (incorrect)}", "7\\text{k}", "7 does not work", "7\\text{ or more}", "7 \\text{ square roots}"),
        *("7 works", "7 squared", "7 plus"),
    ],
)
def test_words_behind_a_number_are_no_unit(answer: str) -> None:
    assert grade_many(["7"], [answer]) == [False]


def test_text_k_is_a_thousand() -> None:
    assert grade_many(["7000"], ["7\\text{k}"]) == [True]


@pytest.mark.parametrize("text", ["C can be eliminated.", "(C) is incorrect.", "C or D, I can't tell.", "(C) fails"])
def test_a_letter_that_is_ruled_out_is_not_chosen(text: str) -> None:
    assert grade_texts(["C"], [text]) == [False]


@pytest.mark.parametrize(
    "text", ["There is no doubt that it is 24.", "24, I can't be wrong", "It is 24 without doubt."]
)
def test_a_value_that_is_not_doubted_counts(text: str) -> None:
    assert grade_texts(["24"], [text]) == [True]
