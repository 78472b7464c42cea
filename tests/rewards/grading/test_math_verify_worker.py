"""math-verify's word on two answers: what it can't read, and where it fails."""

from rewards.grading.math_verify_worker import equivalent


def test_unreadable_answer_is_wrong() -> None:
    assert equivalent("x + 1", "\\frac{") == (False, "math-verify")


def test_unreadable_gold_answer_is_undecided() -> None:
    assert equivalent("\\frac{", "x + 1") == (None, "no gold answer")


def test_comparison_crash_is_undecided() -> None:
    assert equivalent("x \\neq i", "x < 3") == (None, "math-verify failed: KeyError")
