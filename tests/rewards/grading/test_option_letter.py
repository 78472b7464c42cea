"""Letters of options, with and without their values."""

import pytest

from rewards.grading.option_letter import clean_pair, split_letter, without_setting


@pytest.mark.parametrize("written", ["\\textbf{(C)}~18", "\\text{(C) }18", "option (C): 18", "C) 18", "\\text{C. 18}"])
def test_letter_with_value_is_normalised(written: str) -> None:
    assert without_setting(written) == "(C) 18"


@pytest.mark.parametrize("answer", ["18", "C", "A:B", "(A) 1 (B) 2", "f(x)", "Celsius", "(a) 5", "3.5"])
def test_other_answers_have_no_letter(answer: str) -> None:
    assert split_letter(answer) is None


@pytest.mark.parametrize(
    ("gold", "answer", "pair"),
    [
        ("18", "(C) 18", ("18", "18")),
        ("C", "(C) 18", ("C", "(C) 18")),
        ("(B) 42", "B", ("B", "B")),
        ("(B) 42", "42", ("42", "42")),
        ("(B) 42", "(C) 42", ("B", "C")),
        ("18", "18", ("18", "18")),
    ],
)
def test_pair_compares_letters_or_values(gold: str, answer: str, pair: tuple[str, str]) -> None:
    assert clean_pair(gold, answer) == pair
