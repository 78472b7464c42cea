"""Which answers leave their arithmetic to the grader."""

import pytest

from rewards.grading.unevaluated import is_unevaluated


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "(16-3-4)*2",
            "20-2",
            "9*2",
            "$9 \\times 2$",
            "9 × 2",
            "36/2",
            "\\frac{36}{2}",
            "18/1",
            "\\left(16-7\\right)\\cdot2",
        ),
        *(
            "2^3",
            "5!",
            "\\binom{5}{2}",
            "\\sqrt{324}",
            "20 - 2 dollars",
            "1/2+1/3",
            "10+8, 5",
            "\\$20-\\$2",
            "-(3-21)",
            "0/5",
        ),
        "9*2 = 20-2",
    ],
)
def test_number_expression_is_unevaluated(answer: str) -> None:
    assert is_unevaluated(answer)


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "18",
            "-18",
            "+18",
            "1.5",
            "1,800",
            "$18",
            "18%",
            "18 dollars",
            "3/4",
            "\\frac{3}{4}",
            "-\\frac34",
            "3 1/2",
            "3\\frac12",
        ),
        *(
            "2\\sqrt{3}",
            "\\sqrt{2}",
            "\\pi",
            "2\\pi",
            "1+\\sqrt{5}",
            "x+1",
            "2x",
            "x^2-1",
            "(1, 2)",
            "[0,1)",
            "1, 2, 3",
        ),
        *("1.5 \\times 10^{6}", "3*10^5", "9*2 = 18", "18 = 9*2", "x = 5", "B", "(C) 18", "", "no solution", "4:30"),
    ],
)
def test_value_is_evaluated(answer: str) -> None:
    assert not is_unevaluated(answer)


def test_long_answer_is_not_examined() -> None:
    assert not is_unevaluated("1+" * 10_000 + "1")
