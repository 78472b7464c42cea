"""The points of an evaluation under way, from the samples that are there so far."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from board.folder import Folder
from board.rollouts import checked
from board.row_file import FollowedRows, Row
from board.runs import read_config, read_object
from budget_forcing.budget import Budget
from configs.recipe import validate
from configs.sample import Sample
from configs.schema.evaluation import EvalConfig
from evaluation import metrics
from evaluation.plan import asked_of, label_of
from evaluation.results import Point, questions, scores

KEPT = ("id", "point", "sample", "score", "thinking_tokens")
"""What is kept of a sample: all that its place on the curve needs, and none of its text."""
MOST_BYTES = 32 << 20
"""So much of the file is read at a look."""


def followed_samples() -> FollowedRows:
    """A reader of `samples.jsonl` that is cheap to ask again."""
    return FollowedRows(lambda row: {key: row[key] for key in KEPT if key in row}, MOST_BYTES)


def points_of(folder: Folder, run: Path, rows: FollowedRows) -> tuple[list[dict[str, Any]], bool]:
    """(the run's points as `results.json` has them, whether they are still growing).

    Raises `OSError`, and `MullError`, `ValueError`, `TypeError` or `KeyError` for files that are no evaluation's.
    """
    results, samples = run / "results.json", run / "samples.jsonl"
    has_results, has_samples = folder.holds(results), folder.holds(samples)
    is_final = has_results and not (has_samples and samples.stat().st_mtime > results.stat().st_mtime)
    if is_final:
        return list(read_object(folder, results)["points"]), False
    if not has_samples:
        return [], False
    config: EvalConfig = validate("eval", read_config(folder, run), str(run / "config.yaml"))
    return live_points(config, rows.read(samples)), True


def live_points(config: EvalConfig, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What is known of each budget so far, of `evaluation.results.summary` what a curve and a table need."""
    by_label: dict[str, dict[Any, Sample]] = {}
    for row in rows:
        try:
            sample = checked(Sample.from_row(row))
        except (ValueError, TypeError):
            continue
        by_label.setdefault(sample.point, {})[sample.place] = sample  # of two in one place the later
    points = []
    for section in config.budgets:
        budget, asked = Budget.from_config(section, config.model.max_length), asked_of(section)
        label = label_of(budget, asked)
        if its := list(by_label.get(label, {}).values()):
            points.append(_row(Point(label, {**budget.as_dict(), **asked}, its), config.seed))
    return points


def _row(point: Point, seed: int) -> dict[str, Any]:
    judged = scores(point.samples)
    thinking = [sample.thinking_tokens for sample in point.samples if sample.thinking_tokens is not None]
    accuracy: Mapping[str, float] | None = None
    if judged:
        accuracy = metrics.accuracy(list(judged.values()), seed=seed).as_dict()
    return {
        "label": point.label,
        "budget": dict(point.budget),
        "questions": len(questions(point.samples)),
        "samples": len(point.samples),
        "accuracy": accuracy,
        "thinking_tokens": metrics.token_summary(thinking) if thinking else None,
    }
