"""A watched training on its page: the best step leads, and the curve has its band."""

import json
from pathlib import Path
from typing import Any

from report import watched
from report.training import write_training_report


def points(*values: float) -> list[dict[str, Any]]:
    """A row every ten steps."""
    return [
        {
            "step": 10 * at,
            **{f"eval_{point}": value for point in watched.NAMES},
            **{f"eval_{point}_low": value - 0.05 for point in watched.NAMES},
            **{f"eval_{point}_high": value + 0.05 for point in watched.NAMES},
        }
        for at, value in enumerate(values)
    ]


def figure(value: float, n: int) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": n, "k": 4}


def test_best_step_leads_the_page(tmp_path: Path) -> None:
    rows = [row | {"loss": 1.0, "step_seconds": 2.0, "measure_seconds": 60.0} for row in points(0.2, 0.4, 0.3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    summary = {"best_step": 10, "best_avg_at_k": figure(0.4, 50), "avg_at_k_unwatched": figure(0.35, 150)}
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    page = write_training_report(tmp_path).read_text(encoding="utf-8")
    cards = page[page.index('class="cards"') :]
    assert cards.index("10 of 20") < cards.index("Mean loss")
    assert "avg@4 40.0% [30.0, 50.0] on the 50 watched problems that chose it: optimistic; 35.0%" in cards
    assert "[25.0, 45.0] on the 150 others" in cards
    assert "3 min of measuring between them on top" in cards
    captions = page.split("<figcaption>")[1:]
    assert captions[0].startswith("Held-out problems while training; dashed: the best step")
    assert not any("Eval" in caption.partition("<")[0] for caption in captions)


def test_run_that_did_not_help_says_so() -> None:
    found = watched.card({"best_step": 0, "best_greedy": figure(0.4, 50)}, 30)
    assert found is not None
    label, value, small = found
    assert (label, value) == ("Best step, whose weights are saved", "0 of 30")
    assert small.startswith("Training did not help: what is saved is what it started from. greedy 40.0%")


def test_curve_has_a_band_a_line() -> None:
    found = watched.curve(points(0.2, 0.4, 0.3), 10)
    assert found is not None
    assert found[1].count('id="FillBetweenPolyCollection') == 2
    plain = watched.curve(points(0.2, 0.4, 0.3), None)
    assert plain is not None
    assert "stroke-dasharray" in found[1]
    assert "stroke-dasharray" not in plain[1]


def test_unwatched_run_has_neither() -> None:
    assert watched.card({"best_step": 50, "validation_loss": 1.0}, 100) is None
    assert watched.curve([{"step": 1, "eval_loss": 1.0}], 50) is None
