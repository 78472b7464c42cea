"""Held-out problems of a watched training on its page: the best step, and the curve with its intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from report import page, plots

NAMES = {"greedy": "greedy", "avg_at_k": "avg@k"}
"""A point in `metrics.jsonl` (`eval_<point>`, `eval_<point>_low`, `eval_<point>_high`) → how a reader knows it."""
WATCHED = {f"eval_{point}{end}" for point in NAMES for end in ("", "_low", "_high")}


def card(summary: Mapping[str, Any], steps: int) -> tuple[str, str, str] | None:
    """The step whose weights were saved, how good they are, and what that figure is worth; None before the end."""
    point = next((point for point in NAMES if f"best_{point}" in summary), None)
    if point is None:
        return None
    best, step = summary[f"best_{point}"], summary["best_step"]
    small = (
        f"{name_of(point, best)} {page.percent_interval(best)} on the {best['n']} watched problems that chose it: "
        "optimistic"
    )
    if others := summary.get(f"{point}_unwatched"):
        small += f"; {page.percent_interval(others)} on the {others['n']} others"
    if step == 0:
        small = f"Training did not help: what is saved is what it started from. {small}"
    return "Best step, whose weights are saved", f"{step:,} of {steps:,}", small


def name_of(point: str, figure: Mapping[str, Any]) -> str:
    """ "avg@4"."""
    return NAMES[point].replace("k", str(figure.get("k", "k")))


def curve(metrics: Sequence[Mapping[str, Any]], best_step: int | None) -> tuple[str, str] | None:
    """The plot of what was measured while training, with the best step marked; None where nothing was."""
    rows = [row for row in metrics if "eval_avg_at_k" in row]
    if not rows:
        return None
    series, bands = {}, {}
    for point, name in NAMES.items():
        value, low, high = ([100 * row[f"eval_{point}{end}"] for row in rows] for end in ("", "_low", "_high"))
        series[name], bands[name] = value, (low, high)
    steps = [row["step"] for row in rows]
    svg = plots.lines("held-out", steps, series, "%, 95% interval", bands=bands, marked=best_step)
    return "Held-out problems while training" + ("" if best_step is None else "; dashed: the best step"), svg
