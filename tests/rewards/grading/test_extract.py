"""Completion → thinking, answer, well-formedness: the policy of `rewards.grading.extract`, format by format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.boxed import last_boxed
from data.think_format import DEEPSEEK, NONE, S1, THINK_FORMATS, XML, ThinkFormat, without_unknown_end
from rewards.grading.extract import extract, format_fault, gold_answer

CUSTOM = ThinkFormat(
    name="custom",
    open="[[",
    prefill="[[ ",
    end="]]\n\n",
    end_tokens=("]]", "<|im_end|>"),
    answer_open="",
    answer_close="",
)
FORMATS = [think for think in (*THINK_FORMATS.values(), CUSTOM) if think.has_thinking]


@pytest.mark.parametrize("think_format", FORMATS, ids=lambda f: f.name)
def test_rendered_completion_is_extracted(think_format: ThinkFormat) -> None:
    found = extract(think_format.render("First line.\nSecond line.", "42"), think_format)
    assert (found.thinking, found.answer, found.well_formed) == ("First line.\nSecond line.", "42", True)


@pytest.mark.parametrize("think_format", FORMATS, ids=lambda f: f.name)
def test_end_of_turn_is_not_in_answer(think_format: ThinkFormat) -> None:
    for end in ("<|im_end|>\n", "<turn|>", "<|END_OF_TURN_TOKEN|>", "[|endofturn|]", "<|user|>", "[EOS]", "<seed:eos>"):
        found = extract(think_format.render("a", "42").rstrip() + end, think_format)
        assert (found.answer, found.well_formed) == ("42", True)


@pytest.mark.parametrize(
    ("end", "kept"), [("<fin>", False), ("<|im_end|>", True), ("</answer>", True), ("", True), ("<else>", True)]
)
def test_only_unknown_end_is_removed(end: str, kept: bool) -> None:
    text = "<reasoning>a</reasoning><answer>42" + (end if end != "<else>" else "<fin>")
    assert (without_unknown_end(text, end, XML) == text) is kept


@pytest.mark.parametrize("think_format", [S1, DEEPSEEK, CUSTOM], ids=lambda f: f.name)
def test_prefilled_opening_may_be_missing(think_format: ThinkFormat) -> None:
    text = think_format.render("a", "42").removeprefix(think_format.prefill)
    assert extract(text, think_format) == extract(think_format.render("a", "42"), think_format)


def test_missing_opening_is_a_fault() -> None:
    assert format_fault("a\n</reasoning>\n<answer>\n42\n</answer>", XML) == "no <reasoning>"


@pytest.mark.parametrize(
    ("text", "think_format"),
    [
        ("<|im_start|>think\n6 times 7 is 42", S1),
        ("<|im_start|>think\n6 times 7 is 42<|im_end|>", S1),
        ("<think>\n6 times 7 is \\boxed{42}", DEEPSEEK),
        ("<reasoning>\n6 times 7 is 42", XML),
        ("<reasoning>\n6 times 7 is 42\n</reasoning>", XML),
        ("6 times 7 is 42", XML),
        ("", S1),
    ],
)
def test_thinking_gives_no_answer(text: str, think_format: ThinkFormat) -> None:
    found = extract(text, think_format)
    assert found.answer is None
    assert not found.well_formed


def test_truncated_text_keeps_thinking() -> None:
    assert extract("<think>\nFirst, 6 times", DEEPSEEK).thinking == "First, 6 times"


def test_cut_answer_counts_but_is_malformed() -> None:
    found = extract("<reasoning>\na\n</reasoning>\n<answer>\n42", XML)
    assert (found.answer, found.well_formed) == ("42", False)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<reasoning>a</reasoning><answer>1</answer><answer>2</answer>", "2"),
        ("<reasoning>a</reasoning><answer><answer>2</answer></answer>", "2"),
        ("<reasoning>a</reasoning><answer>2</answer><answer></answer>", "2"),
        ("<reasoning>a</reasoning><answer>2</answer> so <answer>3", "2"),
        ("<reasoning>say <answer>1</answer></reasoning><answer>2</answer>", "2"),
    ],
)
def test_last_complete_answer_block_counts(text: str, answer: str) -> None:
    found = extract(text, XML)
    assert (found.answer, found.well_formed) == (answer, False)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<reasoning>a</reasoning><answer>b</answer>!", "text outside the delimiters"),
        ("Sure. <reasoning>a</reasoning><answer>b</answer>", "text outside the delimiters"),
        ("<reasoning>a</reasoning> so <answer>b</answer>", "text outside the delimiters"),
        ("<reasoning> </reasoning><answer>b</answer>", "empty thinking"),
        ("<reasoning>a</reasoning><answer></answer>", "empty answer"),
        ("<answer>b</answer><reasoning>a</reasoning>", "delimiters out of order"),
        ("<reasoning><reasoning>a</reasoning><answer>b</answer>", "<reasoning> 2 times"),
        ("<reasoning>a<answer>b</answer>", "no </reasoning>"),
        ("<reasoning>a</reasoning><answer>b<|im_end|></answer>", "text after the end of the turn"),
    ],
)
def test_format_fault_is_named(text: str, fault: str) -> None:
    assert format_fault(text, XML) == fault


def test_deepseek_takes_last_end_of_thinking() -> None:
    found = extract("<think>a</think>\n\\boxed{1}\n</think>\nSo it is \\boxed{2}.<｜end▁of▁sentence｜>", DEEPSEEK)
    assert (found.answer, found.well_formed) == ("2", False)


def test_none_format_takes_whole_turn() -> None:
    found = extract("So it is \\boxed{2}.<|im_end|>", NONE)
    assert (found.thinking, found.answer, found.well_formed) == (None, "2", True)
    assert not extract(" \n", NONE).well_formed


def test_s1_ignores_text_after_the_turn() -> None:
    text = "<|im_start|>think\na\n<|im_start|>answer\n42<|im_end|>\n<|im_start|>user\nThank you, 43."
    assert extract(text, S1).answer == "42"


def test_s1_reads_answer_after_forced_end() -> None:
    assert extract("<|im_start|>think\na<|im_end|>\n<|im_start|>answer\nFinal Answer: 42<|im_end|>", S1).answer == "42"


@pytest.mark.parametrize(
    ("section", "answer"),
    [
        ("\\boxed{5} or rather \\boxed{42}", "42"),
        ("\\boxed{1}, \\boxed{-2}", "1, -2"),
        ("$\\boxed{1} \\text{ and } \\boxed{-2}$", "1, -2"),
        ("\\boxed{42}. I am sure: \\boxed{}", "42"),
        ("\\boxed{\\frac{1}{2}} and \\boxed{3", "\\frac{1}{2}"),
        ("\\boxed{\\text{a \\} b}}", "\\text{a \\} b}"),
        ("\\fbox{7}", "7"),
        ("\\boxed 7 it is", "7"),
        ("Final Answer: 42", "42"),
        ("**Final Answer**\n\n$42$", "42"),
        ("The answer is 3.5.", "3.5"),
        ("The final answer is $\\frac{1}{2}$, as it has to be.", "\\frac{1}{2}"),
        ("#### 1,800", "1,800"),
        ("A: 18", "18"),
        ("答案是：１８。", "18"),
        ("答案：每份应该是 (\\frac{2}{5}) 吨。", "(\\frac{2}{5}) 吨"),
        ("1, 2, 3, ...", "1, 2, 3, \\ldots"),
        ("最终答案为（１，２）", "(1,2)"),
        ("42", "42"),
        ("$$\n42\n$$", "42"),
        ("**42**.", "42"),
        ("She makes $18 every day.", "$18"),
        ("The largest value of $n$ is 34.", "34"),
        ("It takes 3 hours and 20 minutes in all", "3 hours and 20 minutes"),
        ("no real solutions", "no real solutions"),
    ],
)
def test_answer_section_is_extracted(section: str, answer: str) -> None:
    assert extract(f"<reasoning>a</reasoning>\n<answer>\n{section}\n</answer>", XML).answer == answer


@pytest.mark.parametrize(
    ("text", "answer", "explicit"),
    [
        ("9 + 9 = 18\n#### 18", "18", True),
        ("She has 3 left.\nA: 3,000", "3,000", True),
        ("so \\boxed{2}. The answer is 3.", "3", True),
        ("so \\boxed{2}. The answer is a whole number.", "2", True),
        ("The answer is 2, so \\boxed{3}", "3", True),
        ("The answer is 3. No, the answer is 4.", "4", True),
        ("There were 5 birds, now there are 6 of them", "6", False),
        ("We get $x = 5$ in the end", "x = 5", False),
        ("$[0,1)$", "[0,1)", False),
        ("\\frac{10}{9}", "\\frac{10}{9}", False),
        ("所以一共有 3 + 10 = 13只鸟", "13", False),
        ("It costs $5 and $7 a piece", "$5, $7", False),
        ("no idea\nreally none", "really none", False),
        ("AZYUK2A", "AZYUK2A", False),
        ("Soucis : 2,74 $ a..", "2,74", False),
        ("   ", None, False),
        *((f"{word}: 18", "18", True) for word in ("ANSWER", "Antwort", "RESPUESTA", "Resposta", "Risposta")),
    ],
)
def test_bare_text_is_extracted(text: str, answer: str | None, explicit: bool) -> None:
    found = extract(text)
    assert (found.thinking, found.answer, found.well_formed) == (None, answer, explicit)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("18", "18"),
        ("She has 18.\n#### 18", "18"),
        ("… 18\nA: 18", "18"),
        ("so $x = \\boxed{\\frac12}$", "\\frac12"),
        ("\\text{the answer is blowing}", "\\text{the answer is blowing}"),
        ("The answer is 18.", "18"),
        ("Answer: $\\frac12$", "\\frac12"),
        ("1,200 gallons for 10 sharks", "1,200 gallons"),
        ("10 if n is even, 5 otherwise", "10 if n is even, 5 otherwise"),
        ("答案是18。", "18"),
    ],
)
def test_gold_answer_is_read_from_solution(gold: str, answer: str) -> None:
    assert gold_answer(gold) == answer


@pytest.mark.parametrize(  # each took minutes while its time grew with the square of its length, the last exponentially
    ("text", "answer"),
    [
        ("18" + "\n" * 200_000, "18"),
        ("1. Half of it\n" + "\n" * 200_000 + "2. So it is 18", "18"),
        ("\\boxed{1, 2, ..." + " " * 90_000 + "3}", "1, 2, ..." + " " * 90_000 + "3"),
        ("a é " * 40 + "ab 5", "5"),
    ],
    ids=["blank lines", "blank lines between steps", "ellipsis", "leads"],
)
def test_long_input_does_not_hang(text: str, answer: str) -> None:
    assert extract(text).answer == answer


def test_outer_box_counts() -> None:
    assert last_boxed("\\boxed{\\boxed{1} + 2}") == "\\boxed{1} + 2"


@given(st.text(max_size=200), st.sampled_from([None, *FORMATS]))
def test_any_text_extracts_without_error(text: str, think_format: ThinkFormat | None) -> None:
    found = extract(text, think_format)
    assert found.answer is None or found.answer == found.answer.strip() != ""


PART = st.text(alphabet=st.characters(exclude_characters="<>[]|", exclude_categories=["Cs", "Cc"]), min_size=1).map(
    str.strip
)


@given(PART.filter(bool), PART.filter(bool), st.sampled_from(FORMATS))
def test_rendering_is_well_formed(thinking: str, answer: str, think_format: ThinkFormat) -> None:
    text = think_format.render(thinking, answer)
    assert format_fault(text, think_format) is None
    assert format_fault(text + text, think_format) is not None


@given(
    st.lists(
        st.sampled_from(
            ["<answer>", "</answer>", "<reasoning>", "</reasoning>", "\\boxed{", "}", "answer is ", "7", "\n"]
        )
    )
)
def test_any_delimiter_order_extracts(parts: list[str]) -> None:
    text = "".join(parts)
    found = extract(text, XML)
    assert found.well_formed == (format_fault(text, XML) is None)
    if found.well_formed:
        assert found.answer is not None
