"""What the Data page shows of an inspection."""

import threading

import pytest

from board.data_view import over_text, shown
from board.strings import Strings
from curation.inspection_record import BadRows, Inspection, ShownRow

HOSTILE = "<img src=x onerror=alert(1)> ${alert(1)} {{x}} `y`"
FOUND = Inspection(
    layout="mapping",
    encodings={"gb18030": ["a.csv"]},
    columns=["问", HOSTILE],
    with_thinking=1,
    rejected=7,
    bad=[BadRows(f"bad: {HOSTILE}", 7, ["3", "9"], f"a.csv:3 {HOSTILE}")],
    shown=[ShownRow(HOSTILE, 12, f"asked {HOSTILE}", f"said {HOSTILE}")],
    lengths={12: 3, 90: 1},
    warnings=[HOSTILE],
    is_whole=False,
)


def html_of(found: Inspection, limit: int = 50, language: str = "en") -> str:
    return shown(found, limit, Strings(language), threading.Lock())


def test_everything_found_is_said() -> None:
    page = html_of(FOUND)
    for text in ("as mapped", "gb18030", "4 to train on, 1 of them with thinking; 7 bad", "the first ones alone"):
        assert text in page
    assert "1 of 4 rows (25.0%) are longer than the context" in page
    assert "3, 9, …" in page
    assert "<pattern" in page  # the bars over the limit


def test_loss_is_marked_by_signs_too() -> None:
    page = html_of(FOUND)
    at = page.index('<span class="loss">⟦said ')
    assert page.index("asked ") < at
    assert "⟧</span>" in page[at:]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_text_stays_text(language: str) -> None:
    page = html_of(FOUND, language=language)
    assert "<img" not in page
    assert "${" not in page
    assert "{{" not in page
    assert "&lt;img src=x" in page


def test_rows_that_fit_are_said_to_fit() -> None:
    assert over_text(FOUND, 90, Strings("en")) == "every row fits into the context"
    assert "<pattern" not in html_of(FOUND, 90)


def test_fault_comes_with_the_columns_to_map() -> None:
    page = html_of(Inspection(fault=f"no known layout {HOSTILE}", columns=["q", "a"]))
    assert "no known layout" in page
    assert "q, a" in page
    assert "Say above which column is what" in page
    assert "<img" not in page
    assert "Say above" not in html_of(Inspection(fault="no such file"))


def test_chinese_page_is_chinese() -> None:
    page = html_of(FOUND, language="zh")
    assert "可训练 4 行" in page
    assert "as mapped" not in page


PROBLEMS = Inspection(
    layout="problems",
    are_problems=True,
    shown=[ShownRow("p-1", 40, f"asked {HOSTILE}", "", f"gold {HOSTILE}")],
    lengths={40: 3, 90: 1},
    unread=[BadRows("gold answer can't be parsed", 2, ["p-1", "p-3"], f"p-1: {HOSTILE}")],
)


def test_problems_are_shown_with_what_grpo_needs() -> None:
    page = html_of(PROBLEMS)
    for text in ("4 problems; 0 bad rows", "1 of 4 prompts (25.0%) leave no room", "can&#x27;t read 2 of 4 (50.0%)"):
        assert text in page
    assert "p-1, p-3" in page
    assert page.index("asked ") < page.index("gold answer: gold ")
    assert "⟦" not in page
    assert "with thinking" not in page
    assert "reads all of them" in html_of(Inspection(are_problems=True, lengths={40: 3}))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_problem_stays_text(language: str) -> None:
    page = html_of(PROBLEMS, language=language)
    assert "<img" not in page
    assert "${" not in page
