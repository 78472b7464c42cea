"""The confusion table on a page and in its file, with few labels and with many."""

import csv
from pathlib import Path
from typing import Any

from report.confusion import CONFUSION_FILE, confused_pairs, tables, write_confusion

NAMES = {"plain": "plain", "short": "short"}


def point(counts: dict[str, dict[str, int]], label: str = "plain") -> dict[str, Any]:
    return {"label": label, "labels": counts}


def wards(count: int) -> dict[str, dict[str, int]]:
    """Labels of which each but the first is taken for the one before, the later the more often."""
    names = [f"科{at}" for at in range(count)]
    return {name: {name: 3} | ({names[at - 1]: at} if at else {}) for at, name in enumerate(names)}


def test_confused_pairs_come_by_their_count() -> None:
    counts = {"甲": {"甲": 5, "乙": 1}, "乙": {"甲": 4, "another text": 2}, "丙": {}}
    assert confused_pairs(point(counts)) == [("乙", "甲", 4, 6), ("乙", "another text", 2, 6), ("甲", "乙", 1, 6)]


def test_few_labels_are_a_whole_table() -> None:
    [table] = tables([point({"甲": {"甲": 5, "乙": 1}, "乙": {"甲": 4, "another text": 2}, "丙": {}})], NAMES)
    assert table.columns == ["gold label", "samples", "甲", "乙", "another text"]
    assert table.rows == [["甲", 6, 5, 1, 0], ["乙", 6, 4, 0, 2], ["all", 12, 9, 1, 2]]


def test_many_labels_are_a_list_of_the_most_confused() -> None:
    [table] = tables([point(wards(30))], NAMES)
    assert len(table.rows) == 20
    assert table.rows[0] == ["科29", "科28", 29, 32, "90.6%"]
    assert "20 most frequent of 29 pairs" in table.note


def test_twelve_labels_still_fit() -> None:
    assert [len(table.columns) for table in tables([point(wards(12)), point(wards(13), "short")], NAMES)] == [14, 5]


def test_file_holds_every_point_and_label(tmp_path: Path) -> None:
    write_confusion(tmp_path, [point(wards(30)), point({"科0": {"别的": 2}}, "short")], NAMES)
    with (tmp_path / CONFUSION_FILE).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 31
    assert (rows[29]["gold label"], rows[29]["samples"], rows[29]["科28"], rows[29]["科29"]) == (
        "科29",
        "32",
        "29",
        "3",
    )
    assert (rows[30]["budget"], rows[30]["别的"], rows[30]["科0"]) == ("short", "2", "0")


def test_task_without_labels_has_no_file(tmp_path: Path) -> None:
    write_confusion(tmp_path, [point({})], NAMES)
    assert tables([point({})], NAMES) == []
    assert not (tmp_path / CONFUSION_FILE).exists()
