"""Thinking taken out of a reply, in every spelling that data sets have, and told where it is none that is known."""

import pytest

from data.thinking import EndlessThinking, MalformedThinking, shared_unknown_tags, split_thinking


@pytest.mark.parametrize(
    ("opening", "end"),
    [
        ("<think>", "</think>"),
        ("<Think>", "</Think>"),
        ("<thinking>", "</thinking>"),
        ("<Thought>", "</Thought>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
    ],
)
def test_every_spelling_of_thinking_is_known(opening: str, end: str) -> None:
    assert split_thinking(f"{opening}\nsix sevens\n{end}\n\n42") == ("six sevens", "42")


@pytest.mark.parametrize(
    ("opening", "end"),
    [("<answer>", "</answer>"), ("<|begin_of_solution|>", "<|end_of_solution|>"), ("<Output>", "</Output>")],
)
def test_tags_around_the_reply_are_removed(opening: str, end: str) -> None:
    assert split_thinking(f"<think>t</think>{opening}\n42\n{end}\n") == ("t", "42")


def test_text_after_the_answer_is_malformed() -> None:
    with pytest.raises(MalformedThinking, match="text after '</answer>'"):
        split_thinking("<think>t</think><answer>42</answer> or 43")


def test_words_before_the_tag_belong_to_thinking() -> None:
    assert split_thinking("Let me see.\n<think>six sevens</think>42") == ("Let me see.\nsix sevens", "42")


@pytest.mark.parametrize(
    "text",
    ["Write `<think>` before it.", "Put “<think>” first, then “</think>”.", "The <think> tag.", "```\n<think>\n```"],
)
def test_mentioned_tag_is_no_thinking(text: str) -> None:
    assert split_thinking(text) == ("", text)


def test_quoted_tag_does_not_end_thinking() -> None:
    assert split_thinking('<think>a "</think>" b</think>4') == ('a "</think>" b', "4")


def test_thinking_that_opens_twice_is_malformed() -> None:
    with pytest.raises(MalformedThinking, match="opens again"):
        split_thinking("<think>six</think>4<think>sevens</think>42")


def test_opening_on_its_own_line_never_ends() -> None:
    with pytest.raises(EndlessThinking, match="'<thinking>' and never ends"):
        split_thinking("Well.\n<thinking>six sevens")


@pytest.mark.parametrize(
    ("reply", "tags"),
    [
        ("<scratchpad>t</scratchpad>a", ("<scratchpad>", "</scratchpad>")),
        ("<|start_cot|>t<|end_cot|>a", ("<|start_cot|>", "<|end_cot|>")),
        ("<|reason|>t<|end_of_reason|>a", ("<|reason|>", "<|end_of_reason|>")),
        ("[PLAN]t[/PLAN] a", ("[PLAN]", "[/PLAN]")),
        ("<p>t</p>a", None),
        ("<b>t</b>a", None),
        ("<note>t</note>", None),
        ("a <note>t</note> b", None),
    ],
)
def test_shared_unknown_tags_are_found(reply: str, tags: tuple[str, str] | None) -> None:
    assert shared_unknown_tags([reply, reply, "a plain one"]) == tags


def test_unknown_tags_of_one_reply_are_ignored() -> None:
    assert shared_unknown_tags(["<plan>t</plan>a"]) is None
    assert shared_unknown_tags(["<plan>t</plan>a"] * 2 + ["plain"] * 20) is None
