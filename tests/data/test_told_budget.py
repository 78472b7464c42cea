"""The words that tell a budget: one function for rollouts and for evaluations."""

from data.told_budget import tell


def test_default_words_are_those_of_s1() -> None:
    assert tell("Why?", 16) == "Why?\n\nThink for up to 16 tokens."


def test_own_words_name_the_limit_everywhere() -> None:
    assert tell("为什么?", 16, "最多{max_thinking}个词({max_thinking})。") == "为什么?\n\n最多16个词(16)。"
    assert tell("Why?", 16, "{braces} {max_thinking}") == "Why?\n\n{braces} 16"


def test_untold_question_is_as_it_was() -> None:
    assert tell("Why?", 16, told=False) == "Why?"
