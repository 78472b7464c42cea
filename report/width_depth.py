"""Width or depth on a page: the vote of k samples under each budget, and the best split of one sample's tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from report import page

Row = Mapping[str, Any]


def tables(width_depth: Row | None, names: Mapping[str, str]) -> list[page.Table]:
    """The grid and the splits of `results.json`; none where the run has no several budgets and samples."""
    if width_depth is None:
        return []
    return [_grid(width_depth["cells"], names), _splits(width_depth["splits"], names)]


def best_line(width_depth: Row | None, names: Mapping[str, str]) -> str | None:
    """What is best within the tokens of the dearest single sample, in one line; None without a grid."""
    if width_depth is None:
        return None
    split = width_depth["splits"][-1]
    tokens = f"width or depth: within {split['tokens']:,.0f} thinking tokens a question"
    single, best = (_cell(split[side], names) for side in ("single", "best"))
    if split["difference"] is None:
        return f"{tokens}, nothing beats {single}"
    accuracy = page.percent_interval(split["best"]["accuracy"])
    return f"{tokens}, the best is {best}: {accuracy}; {page.points_interval(split['difference'])} points over {single}"


def _grid(cells: Sequence[Row], names: Mapping[str, str]) -> page.Table:
    ks = sorted({cell["k"] for cell in cells})
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for cell in cells:
        text = f"{page.percent(cell['accuracy']['value'])} · {cell['tokens']:,.0f}"
        rows.setdefault((cell["label"], cell["vote"]), {})[cell["k"]] = text
    note = (
        "Accuracy of the vote of k samples, over all subsets of k, and the thinking tokens of all k. Weighted: a vote "
        "counts exp(mean log-probability of its answer's tokens)."
    )
    table: list[list[page.Cell]] = [
        [names[label], vote, *(found.get(k) for k in ks)] for (label, vote), found in rows.items()
    ]
    return page.Table("Width or depth", ["budget", "vote", *(f"k = {k}" for k in ks)], table, note)


def _splits(splits: Sequence[Row], names: Mapping[str, str]) -> page.Table:
    rows: list[list[page.Cell]] = [
        [
            round(split["tokens"]),
            _cell(split["single"], names),
            _cell(split["best"], names),
            page.percent_interval(split["best"]["accuracy"]),
            split["difference"] and page.points_interval(split["difference"]),
        ]
        for split in splits
    ]
    note = (
        "The best of all cells that take no more tokens than one sample of a budget. Differences are paired, with 95% "
        "intervals from resampling questions; the best of several is chosen on the same questions, which flatters it."
    )
    columns = ["thinking tokens", "one sample", "best split", "accuracy, 95% interval", "difference in points"]
    return page.Table("Best split of a sample's tokens", columns, rows, note)


def _cell(cell: Row, names: Mapping[str, str]) -> str:
    """ "8 samples of max_thinking=256 (majority)"."""
    name = names[cell["label"]]
    return f"1 sample of {name}" if cell["k"] == 1 else f"{cell['k']} samples of {name} ({cell['vote']})"
