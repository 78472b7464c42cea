"""Thinking and answer of a growing text: what was said stays said, and no delimiter ever shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.think import THINK_FORMATS, ThinkFormat
from models.division import divided

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
    ],
)
def test_a_model_that_writes_otherwise_loses_nothing(name: str, text: str, parts: tuple[str, str]) -> None:
    assert divided(text, THINK_FORMATS[name], whole=True) == parts
