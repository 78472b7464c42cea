"""Plots as SVG: inline for the page (colours follow its light or dark theme), or as files with colours of their own."""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

Series = Sequence[float | None]

# What is drawn in these colours is turned into the page's CSS variables; files keep them.
INK, MUTED, GRID = "#1a1c20", "#5c6370", "#d9dce1"
LABEL = 28  # characters in a line of a point's label
COLOURS = ("#2563a8", "#c2571a", "#2e7d4f", "#8e4fa8", "#b3364a", "#7a6a1c", "#1f7f8c", "#5a5f9e")
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {c: f"--c{i}" for i, c in enumerate(COLOURS)}
BARS = 40  # of a histogram
MOST_POINTS = 1_500  # of one line; more than a screen has pixels
RC = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "font.size": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One budget of a sweep: accuracy with its interval over mean thinking tokens."""

    tokens: float
    accuracy: float
    low: float
    high: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Station:
    """One stop on a way: accuracy with its interval; hollow unless the way went on from it."""

    label: str
    accuracy: float
    low: float
    high: float
    is_taken: bool = True


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """Our look; `salt` keeps the ids of two drawings on one page apart, and the same drawing the same bytes."""
    with matplotlib.rc_context({**RC, "svg.hashsalt": salt}), warnings.catch_warnings():
        # the browser has the glyphs; matplotlib only measures
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _svg(figure: Any) -> str:
    """The figure as an `<svg>` element without size, date or XML prolog."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def themed(svg: str) -> str:
    """Colours replaced by the page's CSS variables, so that one drawing reads in light and in dark."""
    return re.sub("#[0-9a-f]{6}", lambda m: f"var({VARIABLES[m[0]]})" if m[0] in VARIABLES else m[0], svg)


def smooth(values: Series, window: int) -> list[float | None]:
    """Trailing mean of the last `window` values, missing ones left out; None before the first."""
    means: list[float | None] = []
    for end in range(1, len(values) + 1):
        seen = [v for v in values[max(0, end - window) : end] if v is not None]
        means.append(sum(seen) / len(seen) if seen else None)
    return means


def _finite(values: Series) -> list[float]:
    return [v if v is not None and math.isfinite(v) else math.nan for v in values]


def _points(steps: Sequence[float], values: Series) -> tuple[Sequence[float], Series]:
    """(steps, values) to draw; of a series that half of the steps or more have no value of, those that have one."""
    known = [at for at, value in enumerate(_finite(values)) if not math.isnan(value)]
    if known and 2 * len(known) <= len(values):
        return [steps[at] for at in known], [values[at] for at in known]
    return steps, values


def lines(
    title: str,
    steps: Sequence[float],
    series: Mapping[str, Series],
    y_label: str = "",
    smoothed: bool = False,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    marked: float | None = None,
) -> str:
    """Themed SVG of one or more lines over steps, all (steps,) long; with `smoothed` the raw line turns pale.

    `bands`: the ends of a line's intervals, by its name; `marked`: a step with a dashed line through it. Missing and
    non-finite values leave gaps, but not in what is measured only now and then: its points are joined. Lines of more
    than 1,500 points are thinned evenly.
    """
    with _style(title):
        figure = Figure(figsize=(5.2, 2.7), layout="constrained")
        axes = figure.subplots()
        for i, (name, values) in enumerate(series.items()):
            at, values = _points(steps, values)
            thin = slice(None, None, max(1, math.ceil(len(at) / MOST_POINTS)))
            colour = COLOURS[i % len(COLOURS)]
            marker = "o" if len(at) < 30 else None
            style: dict[str, Any] = {
                "color": colour,
                "linewidth": 1.6,
                "marker": marker,
                "markersize": 3,
                "label": name,
            }
            if smoothed and len(at) >= 10:
                axes.plot(at[thin], _finite(values)[thin], color=colour, linewidth=0.8, alpha=0.35)
                values = smooth(values, max(3, len(at) // 20))
                style["marker"] = None
            axes.plot(at[thin], _finite(values)[thin], **style)
            if bands:
                axes.fill_between(steps, *bands[name], color=colour, alpha=0.15, linewidth=0)
        if marked is not None:
            axes.axvline(marked, color=MUTED, linewidth=1, linestyle="--")
        axes.set_xlabel("step")
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len(series) > 1:
            figure.legend(loc="outside lower center", ncols=2 if len(series) < 5 else 3, fontsize=8)
        return themed(_svg(figure))


def histogram(title: str, counts: Mapping[int, int], limit: int, x_label: str, y_label: str, over: str) -> str:
    """Themed SVG of how often each whole number comes, in 40 bars at most; those over `limit` are hatched.

    `counts`: number → how often; `over`: what the hatched bars are, for the legend. A dashed line stands at the limit,
    unless it is over twice the highest number.
    """
    lowest, highest = min(counts), max(counts)
    width = max(1, -(-(highest - lowest + 1) // BARS))
    bars: dict[tuple[int, bool], int] = {}
    for value, count in counts.items():  # a bar that the limit goes through is two, one on the other
        key = ((value - lowest) // width, value > limit)
        bars[key] = bars.get(key, 0) + count
    with _style(title):
        figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        axes = figure.subplots()
        looks: dict[bool, dict[str, Any]] = {
            False: {"color": COLOURS[0]},
            True: {"edgecolor": COLOURS[1], "facecolor": "none", "hatch": "////", "label": over},
        }
        for is_over, look in looks.items():
            at = [bar for bar, side in bars if side == is_over]
            starts = [lowest + width * bar - 0.5 for bar in at]
            below = [bars.get((bar, False), 0) * is_over for bar in at]
            if at:
                axes.bar(starts, [bars[bar, is_over] for bar in at], width, below, align="edge", **look)
        if limit < 2 * highest:  # one far off would leave the bars no room
            axes.axvline(limit + 0.5, color=INK, linewidth=1.2, linestyle="--")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if any(is_over for _, is_over in bars):
            figure.legend(loc="outside lower center", fontsize=8)
        return themed(_svg(figure))


def stations(title: str, way: Sequence[Station], x_label: str) -> str:
    """Themed SVG of accuracies with their intervals, in order; those that the way went on from are joined."""
    with _style(title):
        figure = Figure(figsize=(5.2, 2.7), layout="constrained")
        axes = figure.subplots()
        for at, one in enumerate(way):
            errors = [[100 * (one.accuracy - one.low)], [100 * (one.high - one.accuracy)]]
            axes.errorbar(
                [at], [100 * one.accuracy], yerr=errors, color=COLOURS[0], marker="o", markersize=6, capsize=3,
                elinewidth=1, markerfacecolor=COLOURS[0] if one.is_taken else "none",
            )  # fmt: skip
        taken = [(at, 100 * one.accuracy) for at, one in enumerate(way) if one.is_taken]
        axes.plot(*zip(*taken, strict=True), color=COLOURS[0], linewidth=1.6)
        axes.set_xticks(range(len(way)), [one.label for one in way])
        axes.set_xlabel(x_label)
        axes.set_ylabel("accuracy, % (95% interval)")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.15)
        return themed(_svg(figure))


def _curve(curves: Mapping[str, Sequence[CurvePoint]], title: str) -> Any:
    """Figure: accuracy with its interval over mean thinking tokens, log axis, a line a name (s1's figure 1)."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for i, (name, points) in enumerate(curves.items()):
        points = sorted((p for p in points if p.tokens > 0), key=lambda p: p.tokens)
        x, y = [p.tokens for p in points], [100 * p.accuracy for p in points]
        errors = [[100 * (p.accuracy - p.low) for p in points], [100 * (p.high - p.accuracy) for p in points]]
        axes.errorbar(
            x, y, yerr=errors, color=COLOURS[i % len(COLOURS)], marker="o", markersize=5, linewidth=1.8, capsize=3,
            elinewidth=1, label=name,
        )  # fmt: skip
        for point in points:
            axes.annotate(
                textwrap.fill(point.label, LABEL), (point.tokens, 100 * point.accuracy), xytext=(7, -9),
                textcoords="offset points", fontsize=7.5, color=MUTED,
            )  # fmt: skip
    axes.set_xscale("log")
    span = [p.tokens for points in curves.values() for p in points if p.tokens > 0]
    if span and max(span) / min(span) < 100:
        axes.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("mean thinking tokens (log)")
    axes.set_ylabel("accuracy, % (95% interval)")
    axes.margins(x=0.09)
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=10, loc="left")
    if len(curves) > 1:
        axes.legend(fontsize=8)
    return figure


def curve(curves: Mapping[str, Sequence[CurvePoint]], title: str = "") -> str:
    """Themed SVG of accuracy over thinking tokens; points without thinking can't stand on a log axis."""
    with _style("curve" + title):
        return themed(_svg(_curve(curves, title)))


def write_curve(folder: Path, curves: Mapping[str, Sequence[CurvePoint]], title: str = "") -> None:
    """`scaling.svg` and `scaling.png` in `folder`, on white, written whole."""
    with _style("curve" + title), matplotlib.rc_context({"savefig.facecolor": "white"}):
        figure = _curve(curves, title)
        for name, options in (("scaling.svg", {"metadata": {"Date": None}}), ("scaling.png", {"dpi": 160})):
            part = folder / f"{name}.part"
            figure.savefig(part, format=name.split(".")[1], **options)
            part.replace(folder / name)
