"""Numbers in words."""

import pytest

from rewards.grading.math.number_words import number_words


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("twenty-one", "21"),
        ("one hundred and five", "105"),
        ("eighteen apples", "18 apples"),
        ("twenty-third", "23"),
        ("one fourth", "1/4"),
        ("two thirds", "2/3"),
        ("3^{\\text{rd}}", "3"),
        ("3rd place", "3 place"),
        ("十八", "18"),
        ("一百零五", "105"),
        ("三分之一", "1/3"),
        ("两千", "2000"),
        ("第三", "3"),
    ],
)
def test_number_words_become_digits(words: str, digits: str) -> None:
    assert number_words(words) == digits


@pytest.mark.parametrize("text", ["five or six", "five more than seven", "no one", "三十而立", "one and only"])
def test_other_words_stay_unchanged(text: str) -> None:
    assert number_words(text) == text
