"""Plots: themed on the page, coloured in files, honest about gaps."""

import math
import re
from pathlib import Path

import pytest

from report import plots
from report.plots import CurvePoint

POINTS = [
    CurvePoint(40.0, 0.1, 0.05, 0.2, "32"),
    CurvePoint(80.0, 0.3, 0.2, 0.4, "64"),
    CurvePoint(150.0, 0.5, 0.4, 0.6),
]


def test_inline_plots_take_page_colours() -> None:
    svg = plots.lines("reward", [1, 2, 3], {"a": [0.1, 0.2, 0.3], "b": [0.3, None, 0.1]})
    assert svg.startswith("<svg")
    assert "var(--c0)" in svg
    assert "var(--c1)" in svg
    assert not set(re.findall("#[0-9a-f]{6}", svg)) & plots.VARIABLES.keys()


def test_drawings_are_reproducible_with_unique_ids() -> None:
    one = plots.lines("reward", [1, 2, 3], {"a": [1, 2, 3]})
    assert one == plots.lines("reward", [1, 2, 3], {"a": [1, 2, 3]})
    clips = [
        set(re.findall('<clipPath id="([^"]+)"', svg)) for svg in (one, plots.lines("kl", [1, 2, 3], {"a": [1, 2, 3]}))
    ]
    assert clips[0]
    assert not clips[0] & clips[1]


@pytest.mark.parametrize("values", [[math.nan, math.inf, 1.0], [None, None, None], [0.0, 0.0, 0.0]])
def test_missing_values_leave_gaps(values: list[float | None]) -> None:
    assert "<svg" in plots.lines("kl", [1, 2, 3], {"kl": values})


def test_names_in_any_script_are_drawn() -> None:
    svg = plots.lines("准确率", [1, 2], {"奖励$x_1$": [0.0, 1.0], "b": [0.0, 1.0]})
    assert "奖励$x_1$" in svg


def test_long_runs_are_thinned() -> None:
    steps = list(range(20_000))
    assert len(plots.lines("r", steps, {"r": [float(s % 7) for s in steps]})) < 200_000


def test_smoothing_leaves_missing_values_out() -> None:
    assert plots.smooth([None, 2.0, None, 4.0], 3) == [None, 2.0, 2.0, 3.0]


def test_curve_is_written_as_png_and_svg(tmp_path: Path) -> None:
    plots.write_curve(tmp_path, {"max_thinking": POINTS}, "arithmetic")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scaling.png", "scaling.svg"]
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "scaling.svg").read_text(encoding="utf-8")
    assert "var(" not in svg
    assert "mean thinking tokens" in svg


def test_zero_thinking_fits_the_log_axis() -> None:
    assert "<svg" in plots.curve({"a": [CurvePoint(0.0, 0.1, 0.0, 0.2), *POINTS]})
    assert "<svg" in plots.curve({"a": [CurvePoint(0.0, 0.1, 0.0, 0.2)]})


@pytest.mark.parametrize(("most", "every"), [(3_000, 50), (120, 2)])
def test_sparse_values_are_a_joined_line(most: int, every: int) -> None:
    steps = list(range(1, most + 1))
    values = [math.sin(step) if step % every == 0 else None for step in steps]
    paths = re.findall(r'<path d="([^"]*)"', plots.lines("eval_loss", steps, {"x": values}))
    longest = max(paths, key=lambda path: path.count("L "))
    assert (longest.count("M "), longest.count("L ")) == (1, 59)


def test_bars_over_the_limit_are_hatched() -> None:
    below = plots.histogram("tokens", {10: 3, 90: 1}, 100, "tokens", "rows", "too long")
    above = plots.histogram("tokens", {10: 3, 90: 1, 4000: 2}, 100, "tokens", "rows", "too long")
    assert "<pattern" not in below
    assert "too long" not in below
    assert "<pattern" in above
    assert "too long" in above
    assert "<svg" in plots.histogram("tokens", {7: 1}, 7, "tokens", "rows", "too long")
