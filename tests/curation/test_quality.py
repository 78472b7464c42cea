"""What disqualifies a row, and what must not."""

import pytest

from configs.schema.curation import QualityConfig
from curation.quality import language, quality_fault
from data.problem import Trace
from data.thinking import EndlessThinking, split_thinking

LOOP = "I should check this once more before I go on.\n" * 9


def trace(question: str = "What is 2 + 2?", thinking: str = "2 + 2 = 4.", reply: str = "4") -> Trace:
    return Trace("t", question, thinking, reply, "test")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (trace(question=" "), "missing question or reply"),
        (trace(reply=""), "missing question or reply"),
        (trace(thinking=""), "missing thinking"),
        (trace(reply="I'm sorry, but I can't help with that."), "failed API text"),
        (trace(reply="As an AI language model, I think 4."), "failed API text"),
        (trace(reply="<html><body>502</body></html>"), "failed API text"),
        (trace(thinking="Error 429: too many requests"), "failed API text"),
        (
            trace(question="What is the area of the triangle shown below?\n[asy]draw((0,0));[/asy]"),
            "refers to a figure",
        ),
        (trace(question="In the diagram, AB = 3. Find CD. ![](a.png)"), "refers to a figure"),
        (trace(question="如图，求面积。"), "refers to a figure"),
        (trace(thinking="caf\ufffd"), "broken characters"),
        (trace(reply="Itâ€™s 4"), "broken characters"),
        (trace(thinking="```python\nprint(4)"), "a code block that never ends"),
        (trace(thinking=r"\begin{align} x"), r"LaTeX with \begin but not as many \end"),
        (trace(thinking=LOOP), "the same line over and over"),
    ],
)
def test_bad_row_is_named_by_its_first_fault(row: Trace, reason: str) -> None:
    assert quality_fault(row, QualityConfig(require_thinking=True)) == reason


@pytest.mark.parametrize(
    "row",
    [
        trace(),
        trace(question="Find the graph's slope: y = 3x + 1."),
        trace(thinking="There was an error in my first try, sorry. 2 + 2 = 4."),
        trace(thinking=r"\left( x \right) and \leftarrow", reply="café — 4"),
        trace(question="计算 2 + 2"),
    ],
)
def test_good_row_passes(row: Trace) -> None:
    found = quality_fault(row, QualityConfig(require_thinking=True))
    assert found is None


def test_length_limits_count_words() -> None:
    assert quality_fault(trace(), QualityConfig(min_words=50)) == "fewer than 50 words"
    assert quality_fault(trace(), QualityConfig(max_words=3)) == "over 3 words"
    assert quality_fault(trace(), QualityConfig(require_answer=True)) == "missing answer"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How many apples does Ann have now?", "en"),
        ("Compute $x^2 + 3$.", "en"),
        ("高血压患者能吃党参吗？", "zh"),
        ("Berechne die Summe aller geraden Zahlen zwischen zehn und zwanzig.", "other"),
        ("りんごはいくつありますか", "ja"),
        ("사과는 몇 개입니까", "ko"),
        ("Сколько яблок у Анны?", "ru"),
        ("2 + 2", "none"),
        (r"Evaluate $\log_{3}{81}-\log_{3}{\frac{1}{9}}$.", "en"),
        (r"Let \[S=\sqrt{1+\dfrac1{1^2}}+\cdots.\] Compute $\lfloor S^2\rfloor.$", "en"),
        (r"Compute $\begin{pmatrix} 1 & 0 \\ 1 & 1 \end{pmatrix}^{2018}.$", "en"),
    ],
)
def test_languages_are_told_apart(text: str, name: str) -> None:
    assert language(text) == name


def test_unwanted_languages_are_removed() -> None:
    assert quality_fault(trace(question="高血压患者能吃党参吗？"), QualityConfig(languages=["en"])) == "language zh"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>\nt\n</think>\n\na", ("t", "a")),
        ("t</think>a", ("t", "a")),
        ("<Thought>t</Thought><Output>a</Output>", ("t", "a")),
        ("<Thought>t</Thought>\n<Output>\na", ("t", "a")),
        ("<reasoning>\nt\n</reasoning>\n<answer>\na\n</answer>\n", ("t", "a")),
        ("<|im_start|>think\nt\n<|im_start|>answer\na", ("t", "a")),
        (" just a reply ", ("", "just a reply")),
    ],
)
def test_thinking_is_split_from_the_reply(text: str, parts: tuple[str, str]) -> None:
    assert split_thinking(text) == parts


@pytest.mark.parametrize("text", ["<think>t", "<Thought>t", "<reasoning>t", "<|im_start|>think\nt"])
def test_endless_thinking_is_an_error(text: str) -> None:
    with pytest.raises(EndlessThinking):
        split_thinking(text)
