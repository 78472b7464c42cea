"""math-verify's word on two answers: what it can't read, and where it fails."""

from rewards.grading.math_verify_worker import equivalent


def test_an_answer_that_can_t_be_read_is_wrong() -> None:
    assert equivalent("x + 1", "\\frac{") == (False, "math-verify")


def test_a_gold_answer_that_can_t_be_read_is_none() -> None:
    assert equivalent("\\frac{", "x + 1") == (None, "no gold answer")


def test_a_crash_of_the_comparison_is_no_wrong_answer() -> None:
    assert equivalent("x \\neq i", "x < 3") == (None, "math-verify failed: KeyError")
