"""Thinking and answer of a growing text: what was said stays said, and no delimiter ever shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.think_format import THINK_FORMATS, ThinkFormat
from serving.division import divided

FORMATS = list(THINK_FORMATS.values())
WORDS = st.text(alphabet="ab <|/\n>12", max_size=12)


def written(think: ThinkFormat, thinking: str, answer: str) -> str:
    """What a model writes after the prompt."""
    close = f"\n{think.answer_close}\n" if think.answer_close else ""
    return think.render(thinking, answer).removeprefix(think.prefill) if close else f"{thinking}\n{think.end}{answer}"


@pytest.mark.parametrize("think", FORMATS, ids=lambda think: think.name)
@given(thinking=WORDS, answer=WORDS)
def test_every_growing_prefix_only_adds(think: ThinkFormat, thinking: str, answer: str) -> None:
    text = written(think, thinking, answer)
    before = ("", "")
    for length in range(len(text) + 1):
        now = divided(text[:length], think, whole=False)
        assert now[0].startswith(before[0])
        assert now[1].startswith(before[1])
        before = now
    whole = divided(text, think, whole=True)
    assert whole[0].startswith(before[0])
    assert whole[1].startswith(before[1])
    assert not any(end in whole[0] for end in think.end_tokens)


@given(before=WORDS, gap=st.text(alphabet=" \n", max_size=3), answer=WORDS)
def test_white_space_of_the_model_s_own_shows_no_delimiter_while_it_grows(before: str, gap: str, answer: str) -> None:
    text = f"{gap}<reasoning>{before}</reasoning>{gap}<answer>{answer}</answer>"
    last = ("", "")
    for length in range(len(text) + 1):
        now = divided(text[:length], THINK_FORMATS["xml"], whole=False)
        assert now[0].startswith(last[0])
        assert now[1].startswith(last[1])
        last = now
    assert divided(text, THINK_FORMATS["xml"], whole=True) == last
    assert last == (before.removeprefix("\n"), answer.removeprefix("\n"))


@pytest.mark.parametrize("think", FORMATS, ids=lambda think: think.name)
def test_parts_come_without_their_delimiters(think: ThinkFormat) -> None:
    thinking, answer = divided(written(think, "2 + 3 is 5", "5"), think, whole=True)
    assert (thinking.strip(), answer.strip()) == ("2 + 3 is 5", "5")


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("s1", "2 + 3 is 5", ("2 + 3 is 5", "")),
        ("s1", "2 + 3 is 5\n<|im_end|>", ("2 + 3 is 5\n", "")),
        ("s1", "5<|im_start|>answer", ("5", "")),
        ("s1", "5<|im_start|>other\n6", ("5", "other\n6")),
        ("deepseek", "5</think>6", ("5", "6")),
        ("xml", "no tags at all", ("no tags at all", "")),
        ("xml", "\n<reasoning>\nx\n</reasoning>\n<answer>\n5\n</answer>", ("x\n", "5\n")),
        ("xml", "<reasoning>x</reasoning><answer>5</answer>", ("x", "5")),
        ("xml", "<reasoning>x</reasoning>\n\n <answer>\n5</answer>", ("x", "5")),
        ("xml", "<reasoning>x</reasoning>\n5", ("x", "\n5")),
    ],
)
def test_a_model_that_writes_otherwise_loses_nothing(name: str, text: str, parts: tuple[str, str]) -> None:
    assert divided(text, THINK_FORMATS[name], whole=True) == parts
