"""Answers that hedge, doubt, take back or bound a value are not that value; a corrected one is."""

import pytest

from data.think_format import DEEPSEEK, S1
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


@pytest.mark.parametrize(
    "text",
    [
        *("She lost 24.", "We reject 24.", "It lacks 24.", "It is 24 less than 30.", "Es sind fast 24.", "почти 24"),
        *("não é 24", "La risposta non è 24", "Svaret är inte 24.", "bukan 24", "24 değil", "Jest więcej niż 24."),
        *("24, not really", "24, not the answer", "24 doubled", "the number before 24"),
        *("\\boxed{24}. Alternatively, 25.", "\\boxed{24}. It could also be 25.", "\\boxed{24}\n\nor\n\n25"),
        *("\\boxed{24 \\text{ if } n>0, 25 \\text{ otherwise}}", "\\boxed{\\text{ruled out: }24}"),
    ],
)
def test_what_a_sentence_does_not_affirm_is_wrong(text: str) -> None:
    assert grade_texts(["24"], [f"<think>a</think>{text}"], DEEPSEEK) == [False]


@pytest.mark.parametrize(
    "text",
    [
        *("There are 24.", "He pays $24.", "She needs 24 more eggs.", "It takes him 24 minutes to run 3 miles."),
        *("He earned 24 dollars in 3 days.", "The 3 boys have 24 marbles altogether.", "24 is correct.", "x equals 24"),
        *("The answer is 24, not 25.", "Not 25 but 24.", "It is not 25 but 24.", "I thought it was 25, but it is 24."),
        *("Instead of 25, it is 24.", "24 instead of 25", "24 of them", "The answer is **24** apples.", "__24__"),
        *("=> 24", "∴ 24", "Il y a 24 pommes.", "Hay 24 manzanas.", "Jest 24 jabłek.", "O resultado final é 24."),
        *("Svaret är 24.", "Jawabannya adalah 24.", "\\textbf{Answer: } 24", "Answer: 24 😊", "✅ 24"),
        "\\boxed{24}. Or, equivalently, 24.0.",
    ],
)
def test_a_short_sentence_gives_its_value(text: str) -> None:
    assert grade_texts(["24"], [text]) == [True]


def test_the_number_of_a_step_is_no_answer() -> None:
    text = "1. Compute 6*2=12.\n2. Double it: 24."
    assert grade_texts(["24", "1", "2"], [text] * 3) == [True, False, False]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        *[("-3", "negative 3"), ("-3", "minus 3"), ("C", "(c)"), ("AC", "A, C"), ("AC", "C and A"), ("A, C", "AC")],
        *[("5:3", "5∶3"), ("5 \\text{ square meters}", "5 m²"), ("24", "24개")],
        ("(-\\infty,\\infty)", "\\text{all real numbers}"),
    ],
)
def test_another_spelling_of_the_value_is_right(gold: str, answer: str) -> None:
    assert grade_many([gold], [answer]) == [True]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("3", "negative 3"), ("C", "(b)"), ("AC", "CA"), ("AC", "A, B"), ("AC", "A or C"), ("AC", "A")],
)
def test_another_sign_or_letter_is_wrong(gold: str, answer: str) -> None:
    assert grade_many([gold], [answer]) == [False]


@pytest.mark.parametrize(
    "text",
    ["It must be C.", "正确选项为C", "答えはCです。", "Đáp án C", "A and B are wrong, so C."],
)
def test_a_sentence_chooses_its_letter(text: str) -> None:
    assert grade_texts(["C"], [text]) == [True]


@pytest.mark.parametrize(
    "text", ["It must not be C.", "不正确的选项为C", "Đáp án không phải C", "B and C are wrong, so A."]
)
def test_a_letter_that_is_denied_is_wrong(text: str) -> None:
    assert grade_texts(["C"], [text]) == [False]


def test_a_name_is_taken_out_of_its_sentence() -> None:
    texts = ["It is Monday.", "So the day is Monday.", "It is not Monday.", "It was Tuesday."]
    assert grade_texts(["Monday"] * 4, texts) == [True, True, False, False]


def test_the_last_of_very_many_boxes_counts() -> None:
    assert grade_texts(["24"], ["\\boxed{23}. " * 20_000 + "So: \\boxed{24}"]) == [True]


@pytest.mark.parametrize("text", ["So 12 = 36", "ok\n12 = 36", "The total is $12 = $36.", "So 36 = 12"])
def test_equation_of_two_numbers_is_no_answer(text: str) -> None:
    assert grade_texts(["36"], [S1.render("a", text)], S1) == [False]


@pytest.mark.parametrize("text", ["So 12 + 24 = 36", "So 36 = 36.0", "So 40 - 4 = 36 = 36"])
def test_computation_is_what_it_comes_to(text: str) -> None:
    assert grade_texts(["36"], [S1.render("a", text)], S1) == [True]
