"""One self-contained HTML page: styles, plots, samples and script inside, nothing fetched when it is opened."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Cell = str | int | float | bool | None
HERE = Path(__file__).parent
STYLES = ("theme.css", "page.css", "parts.css")
"""Colours, the page itself, and its parts, which the board shows on a page of another make."""
NUMERIC = re.compile(r"[-+−]?\d[\d.,]*( ?%.*)?$")  # also "36.5% [30.1, 43.4]"


class ReportSection(Protocol):
    """A part of the page: its heading ("" for none) and its HTML, everything in it escaped."""

    @property
    def title(self) -> str: ...

    def html(self) -> str: ...


def number(value: float) -> str:
    """Four significant digits, thousands separated: 0.1235, 12.35, 1,235, 2.5e-06."""
    if isinstance(value, int) or (math.isfinite(value) and value == round(value) and abs(value) < 1e15):
        return f"{int(value):,}"
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2e}" if abs(value) < 1e-3 else f"{value:.4g}"


def percent(share: float) -> str:
    """ "36.5%"."""
    return f"{100 * share:.1f}%"


def percent_bounds(value: Mapping[str, float]) -> str:
    """ "[30.1, 43.4]": the ends of an interval `{value, low, high}` in percent."""
    return f"[{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def percent_interval(value: Mapping[str, float]) -> str:
    """ "36.5% [30.1, 43.4]"."""
    return f"{percent(value['value'])} {percent_bounds(value)}"


def points_interval(difference: Mapping[str, float]) -> str:
    """ "+6.2 [1.1, 11.0]", in percentage points."""
    return f"{100 * difference['value']:+.1f} {percent_bounds(difference)}"


def cell_html(value: Cell) -> str:
    """A value as escaped text; None is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return html.escape(value if isinstance(value, str) else number(value))


@dataclass(frozen=True, slots=True)
class Headline:
    """The figures a reader came for, as cards of (label, value, small print)."""

    cards: Sequence[tuple[str, str, str]]
    title: str = ""

    def html(self) -> str:
        cards = (
            f'<div class="card"><div class="label">{cell_html(label)}</div><div class="value">{cell_html(value)}</div>'
            f'<div class="small">{cell_html(small)}</div></div>'
            for label, value, small in self.cards
        )
        return f'<div class="cards">{"".join(cards)}</div>'


@dataclass(frozen=True, slots=True)
class Alarms:
    """What went wrong or looks wrong, one line each; says so when there is nothing."""

    messages: Sequence[str]
    title: str = "Warnings"

    def html(self) -> str:
        if not self.messages:
            return '<p class="calm">None.</p>'
        return f'<ul class="alarms">{"".join(f"<li>{cell_html(m)}</li>" for m in self.messages)}</ul>'


@dataclass(frozen=True, slots=True)
class Summary:
    """Names and values."""

    title: str
    rows: Sequence[tuple[str, Cell]]

    def html(self) -> str:
        rows = (f"<tr><th>{cell_html(name)}</th><td>{cell_html(value)}</td></tr>" for name, value in self.rows)
        return f'<div class="scroll"><table class="summary">{"".join(rows)}</table></div>'


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; columns of numbers align right. `note` goes below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def html(self) -> str:
        numeric = [any(self._numeric(row[i]) for row in self.rows) for i in range(len(self.columns))]
        side = [" class=n" if n else "" for n in numeric]
        head = "".join(f"<th{n}>{cell_html(c)}</th>" for n, c in zip(side, self.columns, strict=True))
        body = "".join(
            f"<tr>{''.join(f'<td{n}>{cell_html(v)}</td>' for n, v in zip(side, row, strict=True))}</tr>"
            for row in self.rows
        )
        note = f'<p class="note">{cell_html(self.note)}</p>' if self.note else ""
        return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}'

    @staticmethod
    def _numeric(value: Cell) -> bool:
        if isinstance(value, str):
            return NUMERIC.match(value) is not None
        return value is not None and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Figures:
    """Plots side by side: (caption, SVG as `report.plots` draws it)."""

    title: str
    figures: Sequence[tuple[str, str]]

    def html(self) -> str:
        return f'<div class="figures">{"".join(self._figure(*f) for f in self.figures)}</div>'

    @staticmethod
    def _figure(caption: str, svg: str) -> str:
        return f"<figure><figcaption>{cell_html(caption)}</figcaption>{svg}</figure>"


@dataclass(frozen=True, slots=True)
class Source:
    """A text as it is (a config), folded."""

    title: str
    text: str
    label: str = field(default="show")

    def html(self) -> str:
        return f"<details><summary>{cell_html(self.label)}</summary><pre>{cell_html(self.text)}</pre></details>"


def render_page(title: str, sections: Sequence[ReportSection], subtitle: str = "") -> str:
    """The page as one string."""
    css = "".join((HERE / name).read_text(encoding="utf-8") for name in STYLES)
    body = "".join(
        f"<section>{f'<h2>{cell_html(s.title)}</h2>' if s.title else ''}{s.html()}</section>" for s in sections
    )
    script = f"<script>{(HERE / 'samples.js').read_text(encoding='utf-8')}</script>" if "samples-data" in body else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # the browser itself holds the page to its promise of fetching nothing
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">"
        f"<title>{cell_html(title)}</title><style>{css}</style></head><body><header><h1>{cell_html(title)}</h1>"
        f'<p class="subtitle">{cell_html(subtitle)}</p></header><main>{body}</main>{script}</body></html>\n'
    )


def write(path: Path, title: str, sections: Sequence[ReportSection], subtitle: str = "") -> None:
    """Write the page whole and move it into place."""
    part = path.with_name(path.name + ".part")
    part.write_text(render_page(title, sections, subtitle), encoding="utf-8")
    part.replace(path)
