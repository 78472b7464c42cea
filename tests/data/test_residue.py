"""Residue: what is found, what is not, and what cleaning leaves."""

from dataclasses import replace

import pytest

from data.problem import Trace
from data.residue import cleaned, cleaned_trace, count_residue, residue_in, residue_lines

ALL = ("html", "entities", "control_characters", "invisible_characters")


def row(reply: str, question: str = "怎么办?", thinking: str = "") -> Trace:
    return Trace("t", question, thinking, reply, "test")


@pytest.mark.parametrize(
    ("reply", "kinds"),
    [
        ("<p>多喝水</p>", ["html"]),
        ('<a href="x.html" target=_blank>多喝水</a>', ["html"]),
        ("多喝水<br/>早睡", ["html"]),
        ("多喝水&nbsp;&ldquo;早睡&rdquo;&#8230;", ["entities"]),
        ("多喝\x07水", ["control_characters"]),
        ("多喝\u200b水", ["invisible_characters"]),
        ("多喝\u200d水", ["invisible_characters"]),
        ("<td>&nbsp;</td>", ["html", "entities", "empty_answer"]),
        *((empty, ["empty_answer"]) for empty in ("无", "暂无。", "NA", "n/a", "-", "null", "None")),
    ],
)
def test_residue_is_found(reply: str, kinds: list[str]) -> None:
    assert list(residue_in(row(reply))) == kinds


@pytest.mark.parametrize(
    "reply",
    [
        "a <b and c> d, x<y",
        "AT&T; R&D; a & b",
        "Write `<b>text</b>`:\n```html\n<p>&nbsp;</p>\n```",
        "<think>\n</think>",
        "👨\u200d👩\u200d👧",
        "می\u200cخواهم",
        "line\n\ttabbed\r\n",
        "没有",
        "0",
    ],
)
def test_text_is_no_residue(reply: str) -> None:
    assert residue_in(row(reply)) == {}
    assert cleaned(reply, ALL) == reply


def test_none_after_thinking_is_an_answer() -> None:
    assert residue_in(row("None", thinking="No prime divides it.")) == {}


def test_cleaning_keeps_lines_and_words() -> None:
    page = "<div>\n<p>多喝水&nbsp;早睡</p>\n<p>忌口：</p><ul><li>酒</li><li>茶</li></ul></div><script>a < b</script>"
    assert cleaned(page, ALL).strip() == "多喝水 早睡\n\n忌口：\n酒\n茶"
    assert cleaned("体温 &lt; 37&deg;", ALL) == "体温 < 37°"
    assert cleaned("多\u200b喝\x07水", ["control_characters"]) == "多\u200b喝水"


def test_cleaning_goes_over_all_texts_of_a_row() -> None:
    dirty = Trace(
        "t", "<b>q</b>", "", "<i>r</i>", "s", answer="<i>r</i>", system="<p>s</p>", history=(("<b>u</b>", "a"),)
    )
    clean, had = cleaned_trace(dirty, ["html", "entities"])
    assert (clean.question, clean.reply, clean.answer, clean.system, clean.history) == (
        "q",
        "r",
        "r",
        "s",
        (("u", "a"),),
    )
    assert had == ["html"]
    assert cleaned_trace(dirty, []) == (dirty, [])


def test_earlier_turns_are_looked_at() -> None:
    talk = replace(row("ok"), history=(("还要多久?", "多喝水&nbsp;早睡"),))
    assert list(residue_in(talk)) == ["entities"]
    assert cleaned_trace(talk, ["entities"])[0].history == (("还要多久?", "多喝水 早睡"),)


def test_counts_name_the_first_row() -> None:
    rows = [row("ok"), row("a\u200bb"), row("c\u200bd"), row("无")]
    assert residue_lines(count_residue(rows)) == [
        "rows with invisible characters, left as they are: 2, such as t: a\\u200bb",
        "rows with an answer that says nothing, left as they are: 1, such as t: '无'",
    ]
