"""Width or depth on the page and in one line."""

from typing import Any

from report.width_depth import best_line, tables

NAMES = {"a": "max_thinking=256", "b": "max_thinking=1024"}


def cell(label: str, k: int, tokens: float, value: float, vote: str = "majority") -> dict[str, Any]:
    accuracy = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 30}
    return {"label": label, "k": k, "vote": vote, "tokens": tokens, "accuracy": accuracy}


SHORT, WIDE, HEAVY = cell("a", 1, 250, 0.3), cell("a", 4, 1000, 0.5), cell("a", 4, 1000, 0.55, "weighted")
DEEP = cell("b", 1, 1001.4, 0.45)
DIFFERENCE = {"value": 0.1, "low": 0.01, "high": 0.19, "n": 30}
FOUND = {
    "cells": [SHORT, WIDE, HEAVY, DEEP],
    "splits": [
        {"tokens": 250, "single": SHORT, "best": SHORT, "difference": None},
        {"tokens": 1001.4, "single": DEEP, "best": HEAVY, "difference": DIFFERENCE},
    ],
}


def test_grid_has_a_row_a_vote_and_a_column_a_width() -> None:
    grid, _ = tables(FOUND, NAMES)
    assert grid.columns == ["budget", "vote", "k = 1", "k = 4"]
    assert grid.rows == [
        ["max_thinking=256", "majority", "30.0% · 250", "50.0% · 1,000"],
        ["max_thinking=256", "weighted", None, "55.0% · 1,000"],
        ["max_thinking=1024", "majority", "45.0% · 1,001", None],
    ]


def test_splits_name_both_sides_of_the_difference() -> None:
    _, splits = tables(FOUND, NAMES)
    one, several = "1 sample of max_thinking=256", "4 samples of max_thinking=256 (weighted)"
    assert splits.rows == [
        [250, one, one, "30.0% [20.0, 40.0]", None],
        [1001, "1 sample of max_thinking=1024", several, "55.0% [45.0, 65.0]", "+10.0 [1.0, 19.0]"],
    ]


def test_one_line_says_the_best_split() -> None:
    assert best_line(FOUND, NAMES) == (
        "width or depth: within 1,001 thinking tokens a question, the best is 4 samples of max_thinking=256 "
        "(weighted): 55.0% [45.0, 65.0]; +10.0 [1.0, 19.0] points over 1 sample of max_thinking=1024"
    )
    alone = {"cells": FOUND["cells"], "splits": FOUND["splits"][:1]}
    assert best_line(alone, NAMES) == (
        "width or depth: within 250 thinking tokens a question, nothing beats 1 sample of max_thinking=256"
    )


def test_no_grid_is_no_table_and_no_line() -> None:
    assert tables(None, NAMES) == []
    assert best_line(None, NAMES) is None
