"""The page: whole, self-contained, and nothing in it but what we meant as markup."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from report import page

HOSTILE = "<script>alert(1)</script>\"'&"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def sections(text: str) -> list[page.ReportSection]:
    return [
        page.Headline([(text, text, text)]),
        page.Alarms([text]),
        page.Summary(text, [(text, text), ("n", 3)]),
        page.Table(text, [text, "b"], [[text, 1.5], [None, True]], note=text),
        page.Figures(text, [(text, "<svg></svg>")]),
        page.Source(text, text, text),
    ]


def test_section_text_never_becomes_markup() -> None:
    plain, hostile = Tags(), Tags()
    plain.feed(page.render_page("x", sections("x"), "x"))
    hostile.feed(page.render_page(HOSTILE, sections(HOSTILE), HOSTILE))
    assert hostile.tags == plain.tags


def test_page_fetches_nothing() -> None:
    text = page.render_page("Run", sections("x"))
    parser = Tags()
    parser.feed(text)
    assert not [tag for tag, attributes in parser.tags if {"src", "href"} & attributes.keys()]
    assert not re.search(r"@import|url\(", text)
    assert "default-src 'none'" in text


def test_page_is_written_whole(tmp_path: Path) -> None:
    page.write(tmp_path / "report.html", "Run", sections("x"))
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").endswith("</html>\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (1234567, "1,234,567"), (0.123456, "0.1235"), (2.5e-06, "2.50e-06"), (18.0, "18"),
     (float("nan"), "nan"), (float("inf"), "inf"), (12345.6, "12,346"), ("a<b", "a&lt;b"), (0.0, "0")],
)  # fmt: skip
def test_cells_are_short_and_escaped(value: page.Cell, text: str) -> None:
    assert page.cell_html(value) == text


def test_number_columns_align_right() -> None:
    table = page.Table(
        "t", ["name", "share", "accuracy"], [["a", "4.2%", "36.5% [30.1, 43.4]"], ["7b", None, None]]
    ).html()
    assert "<th>name</th><th class=n>share</th><th class=n>accuracy</th>" in table
    assert "<td>7b</td>" in table


def test_page_without_alarms_says_so() -> None:
    assert "None." in page.Alarms([]).html()
