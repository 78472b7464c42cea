"""The share of right completions over the steps of a GRPO run, with its band, from a sample of its steps."""

from pathlib import Path

from board.folder import Folder
from board.row_file import rows_of_step, step_bounds
from configs.sample import RIGHT_FROM
from evaluation.metrics import Interval, accuracy
from report import plots

POINTS = 40
"""So many steps, evenly spread, stand for a long run."""
MOST_ROWS = 512
"""Of one step; that many say enough of its share."""


def accuracy_figure(folder: Folder, run: Path) -> str | None:
    """The curve as SVG; None for a run without rollouts of at least two steps. Raises `OSError`."""
    file = run / "rollouts.jsonl"
    bounds = step_bounds(file) if folder.holds(file) else None
    if bounds is None or bounds[0] == bounds[1]:
        return None
    steps: list[int] = []
    shares: list[Interval] = []
    for step in spread_steps(*bounds):
        verdicts: dict[str, list[float]] = {}  # those of one question are not independent
        for row in rows_of_step(file, step, MOST_ROWS):
            if isinstance(score := row.get("score"), int | float):
                verdicts.setdefault(str(row.get("id")), []).append(float(score >= RIGHT_FROM))
        if not verdicts:
            continue
        steps.append(step)
        shares.append(accuracy(list(verdicts.values())))
    if not steps:
        return None
    values, lows, highs = ([100 * getattr(share, end) for share in shares] for end in ("value", "low", "high"))
    return plots.lines("accuracy", steps, {"right": values}, "%, 95% interval", bands={"right": (lows, highs)})


def spread_steps(first: int, last: int) -> list[int]:
    """At most 40 steps from `first` to `last`, both of them, evenly spread."""
    count = min(POINTS, last - first + 1)
    return sorted({first + round(at * (last - first) / max(1, count - 1)) for at in range(count)})
