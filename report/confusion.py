"""Which labels are taken for which: the confusion table of a task with labels, and what of it can be read at a glance.

A table of many labels is wider than a page: there the most confused pairs stand in a list, and the whole is a file.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.run_directory import write_text
from report import page

Row = Mapping[str, Any]
CONFUSION_FILE = "confusion.csv"
_WIDEST = 12  # answered labels that fit beside one another
_MOST_PAIRS = 20


def confused_pairs(point: Row) -> list[tuple[str, str, int, int]]:
    """(gold label, what was answered instead, how often, samples of the gold label), the most frequent pair first."""
    pairs = [
        (label, answered, count, sum(its.values()))
        for label, its in _counts(point).items()
        for answered, count in its.items()
        if answered != label
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def tables(points: Sequence[Row], names: Mapping[str, str]) -> list[page.Table]:
    """A table a point of a task with labels: all of it, or of many labels the most confused pairs."""
    found = []
    for point in points:
        if _counts(point):
            title = "Labels" if len(points) == 1 else f"Labels: {names[point['label']]}"
            found.append(_pairs(point, title) if len(_answered([point])) > _WIDEST else _matrix(point, title))
    return found


def write_confusion(run_dir: Path, points: Sequence[Row], names: Mapping[str, str]) -> None:
    """Write `confusion.csv`: a row a point and gold label, a column an answered one; nothing without labels."""
    answered = _answered(points)
    if not answered:
        return
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["budget", "gold label", "samples", *answered])
    for point in points:
        rows.writerows([names[point["label"]], *row] for row in _rows(point, answered))
    write_text(run_dir / CONFUSION_FILE, "\ufeff" + text.getvalue())  # without the mark Excel guesses a legacy encoding


def _matrix(point: Row, title: str) -> page.Table:
    """A row a gold label, a column an answered one."""
    answered = _answered([point])
    rows = _rows(point, answered)
    rows.append(["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])])
    note = f"A row a gold label, a column an answered one: how many samples. The same: {CONFUSION_FILE}."
    return page.Table(title, ["gold label", "samples", *answered], rows, note)


def _pairs(point: Row, title: str) -> page.Table:
    """The most confused pairs."""
    pairs = confused_pairs(point)
    rows: list[list[page.Cell]] = [
        [gold, answered, count, total, page.percent(count / total)] for gold, answered, count, total in pairs
    ]
    note = (
        f"The {min(len(rows), _MOST_PAIRS)} most frequent of {len(rows)} pairs of a gold label and another answer, "
        f"of {len(_counts(point))} gold labels. The whole table: {CONFUSION_FILE}."
    )
    columns = ["gold label", "answered", "how often", "of its samples", "share"]
    return page.Table(f"{title}, the most confused", columns, rows[:_MOST_PAIRS], note)


def _counts(point: Row) -> dict[str, dict[str, int]]:
    """Gold label → what was answered → how often, of the labels that were asked for."""
    return {label: its for label, its in (point.get("labels") or {}).items() if its}


def _answered(points: Sequence[Row]) -> list[str]:
    """Every label that was answered at one of the points, in the order of the gold labels where it is one."""
    found = {label for point in points for its in _counts(point).values() for label in its}
    known = [label for point in points for label in point.get("labels") or {} if label in found]
    return list(dict.fromkeys([*known, *sorted(found - {*known})]))


def _rows(point: Row, answered: Sequence[str]) -> list[list[Any]]:
    """[gold label, its samples, how often each of `answered`] of every gold label."""
    return [[label, sum(its.values()), *(its.get(one, 0) for one in answered)] for label, its in _counts(point).items()]
