"""The one reader of a turn: its policy, and that a stream, token positions and the grader say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.think_format import DEEPSEEK, NONE, S1, THINK_FORMATS, XML, ThinkFormat
from data.turn_reader import ENDS_OF_TURN, without_any_end_of_turn
from models.engines.generation import decode, positions
from rewards.grading.extract import extract, format_fault, section_answer
from tests.tiny import tiny_tokenizer

SPOKEN_END = ThinkFormat(
    name="spoken",
    open="[[",
    prefill="[[ ",
    end="]]\n\nAnswer:\n",
    end_tokens=("]]", "<|im_end|>"),
)
UNPREFILLED = ThinkFormat(name="open", open="<t>", prefill="", end="</t><a>", end_tokens=("</t>",), answer_open="<a>")
FORMATS = [*THINK_FORMATS.values(), SPOKEN_END, UNPREFILLED]
TWICE = "<reasoning>a</reasoning><answer>5</answer> no: <reasoning>b</reasoning><answer>6</answer>"


@pytest.mark.parametrize("end", ENDS_OF_TURN)
def test_every_end_of_turn_is_left_out(end: str) -> None:
    assert without_any_end_of_turn(f"18{end} 1") == "18 1"


def marks(think: ThinkFormat) -> list[str]:
    whole = [think.open, think.prefill, think.end, *think.end_tokens, think.answer_open, think.answer_close]
    ends = ["<|im_end|>", "</s>"]
    return [mark for mark in [*whole, *ends] if mark] + [mark[: len(mark) // 2] for mark in whole]


@st.composite
def turns(draw: st.DrawFn) -> tuple[ThinkFormat, str]:
    """A format, and a text of its delimiters, halves of them, and words."""
    think = draw(st.sampled_from(FORMATS))
    words = ["a", "5", " ", "\n", "\\boxed{7}", "answer is 8", "<", "["]
    return think, "".join(draw(st.lists(st.sampled_from([*marks(think), *words]), max_size=12)))


@given(turns(), st.data())
def test_stream_is_a_prefix_of_the_whole(turn: tuple[ThinkFormat, str], data: st.DataObject) -> None:
    think, text = turn
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    thinking = answer = ""
    for cut in cuts:
        now = think.split_so_far(text[:cut])
        assert now.thinking.startswith(thinking)
        assert now.answer.startswith(answer)
        thinking, answer = now.thinking, now.answer
    whole = think.split(text)
    assert whole.thinking.startswith(thinking)
    assert whole.answer.startswith(answer)


@given(turns())
def test_every_character_only_adds(turn: tuple[ThinkFormat, str]) -> None:
    think, text = turn
    before = think.split_so_far("")
    for length in range(len(text) + 1):
        now = think.split_so_far(text[:length])
        assert now.thinking.startswith(before.thinking)
        assert now.answer.startswith(before.answer)
        before = now
    assert think.split(text).thinking.startswith(before.thinking)
    assert think.split(text).answer.startswith(before.answer)


@given(turns())
def test_ended_turn_streams_whole(turn: tuple[ThinkFormat, str]) -> None:
    think, text = turn
    whole = think.split(text + ENDS_OF_TURN[1])
    if whole.answer:
        assert think.split_so_far(text + ENDS_OF_TURN[1]) == whole


@given(turns())
def test_answer_start_points_at_the_answer(turn: tuple[ThinkFormat, str]) -> None:
    think, text = turn
    parts = think.split(text)
    assert 0 <= parts.thinking_end <= parts.answer_start <= len(text)
    assert text[parts.answer_start :].lstrip().startswith(parts.answer)
    assert bool(parts.answer) or parts.answer_start == len(text)
    assert not parts.is_complete or parts.answer


@given(turns())
def test_token_positions_match_the_text(turn: tuple[ThinkFormat, str]) -> None:
    think, text = turn
    tokenizer = tiny_tokenizer()
    tokens = tokenizer.encode(text, add_special_tokens=False)
    text = decode(tokenizer, tokens)
    end, start = positions(tokens, tokenizer, think)
    parts = think.split(think.prefill + text)
    head = len(think.prefill)
    assert len(decode(tokenizer, tokens[:end])) >= max(0, parts.thinking_end - head)
    assert end == 0 or len(decode(tokenizer, tokens[: end - 1])) < parts.thinking_end - head
    assert start == 0 or len(decode(tokenizer, tokens[: start - 1])) < parts.answer_start - head


@given(turns())
def test_grader_reads_the_same_answer(turn: tuple[ThinkFormat, str]) -> None:
    think, text = turn
    parts = think.split(text)
    found = extract(text, think)
    assert found.thinking == (parts.thinking or None)
    assert found.answer == (section_answer(parts.answer) if parts.answer else None)


@given(turns())
def test_well_formed_turn_is_complete(turn: tuple[ThinkFormat, str]) -> None:
    think, text = turn
    parts = think.split(text)
    if format_fault(text, think) is None:
        assert parts.is_complete
        assert parts.thinking or not think.has_thinking


@given(st.text(max_size=60), st.sampled_from(FORMATS))
def test_prefilled_opening_changes_nothing(text: str, think: ThinkFormat) -> None:
    before, after = think.split(text), think.split(think.prefill + text)
    assert (before.thinking, before.answer) == (after.thinking, after.answer)


@pytest.mark.parametrize(
    ("think", "text", "parts"),
    [
        (XML, TWICE, ("a", "6", True)),
        (XML, "<reasoning>a</reasoning><answer>5</answer><answer>6", ("a", "5", True)),
        (XML, "<reasoning>a</reasoning><answer>5", ("a", "5", False)),
        (XML, "<reasoning>say <answer>1</answer></reasoning><answer>2</answer>", ("say <answer>1</answer>", "2", True)),
        (XML, "<reasoning>a<answer>b</answer>", ("a<answer>b</answer>", "", False)),
        (XML, "<reasoning>a</reasoning> 5", ("a", "", False)),
        (XML, "it is <answer>5</answer>", ("it is", "5", True)),
        (XML, "<reasoning>a</reasoning><answer>5<|im_end|><answer>6</answer>", ("a", "5", False)),
        (XML, "no tags at all", ("no tags at all", "", False)),
        (DEEPSEEK, "<think>a</think>5", ("a", "5", True)),
        (DEEPSEEK, "a</think>5<think>b</think>6", ("a", "5", True)),
        (DEEPSEEK, "<think>\na\n</think>\n\n5<｜end▁of▁sentence｜>", ("a", "5", True)),
        (DEEPSEEK, "so 5", ("so 5", "", False)),
        (S1, "<|im_start|>think\na<|im_end|>\n<|im_start|>answer\n5<|im_end|>", ("a", "5", True)),
        (S1, "<|im_start|>think\na<|im_end|>\n<|im_start|>user\n5", ("a", "", False)),
        (S1, "a<|im_start|>other\n5", ("a", "", False)),
        (S1, "a<|im_start|>answer", ("a", "", False)),
        (S1, "a<|im_start|>answer\n5<|im_start|>answer\n6", ("a", "5", True)),
        (S1, "a<|im_start|>answer\n<|im_start|>answer\n6", ("a", "6", True)),
        (SPOKEN_END, "a]]\n\nAnswer:\n5", ("a", "5", True)),
        (NONE, " <think>5</think> 6<|im_end|>\n", ("", "<think>5</think> 6", True)),
        (NONE, "", ("", "", False)),
    ],
)
def test_reader_follows_the_policy(think: ThinkFormat, text: str, parts: tuple[str, str, bool]) -> None:
    found = think.split(text)
    assert (found.thinking, found.answer, found.is_complete) == parts


def test_open_answer_streams_at_once() -> None:
    grown = [DEEPSEEK.split_so_far(text).answer for text in ("a</think>\n\n", "a</think>\n\n5 <", "a</think>\n\n5 < 6")]
    assert grown == ["", "5", "5 < 6"]


def test_closed_answer_streams_at_the_end() -> None:
    assert XML.split_so_far(TWICE).answer == ""
    assert XML.split_so_far(TWICE + "<|im_end|>").answer == "6"
