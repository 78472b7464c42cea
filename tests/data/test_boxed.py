"""What a `\\boxed{}` holds: gold answers and completions are read alike."""

import pytest

from data.answers import clean
from data.boxed import last_boxed
from rewards.grading.extract import extract, gold_answer


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("The roots are \\boxed{1} and \\boxed{2}.", "1, 2"),
        ("First \\boxed{1}, then $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("It is $\\boxed 7$.", "7"),
        ("\\fbox{3} and \\boxed{4", "3"),
        ("$\\boxed{\\left\\{ 1, 2 \\right\\}}$", "\\left\\{ 1, 2 \\right\\}"),
    ],
)
def test_every_reader_finds_the_same_box(text: str, content: str) -> None:
    assert last_boxed(text) == content
    assert clean(text) == content
    assert extract(text).answer == content
    assert gold_answer(text) == content
