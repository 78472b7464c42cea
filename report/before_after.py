"""Two runs on the same questions on a page: the table of their figures, and their samples side by side."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.sample import Sample, read_samples
from report import page
from report.samples import OtherCompletion, Samples, ShownSample, shown_of, spans_of

COMPARISON_FILE = "comparison.json"
BASELINES = CONSTANT, COPY = ("constant answer", "copy of the input")
"""What answers that take no model are called, the most frequent gold answer and the input itself."""

NOTE = (
    "Shares in percent. The change is paired: both runs answered the same questions, which are what is resampled; p is "
    "of exact McNemar or random swaps. Constant answer: the most frequent gold answer, always. Copy: the input."
)

WHO_WAS_RIGHT = {
    (False, True): "gained",
    (True, False): "lost",
    (True, True): "both right",
    (False, False): "both wrong",
}
"""(right before, right after) → what a pair of samples is filtered by."""


def read_comparison(run_dir: Path) -> dict[str, Any] | None:
    """What `comparison.json` (`evaluation.before_after`) holds; None without one."""
    file = run_dir / COMPARISON_FILE
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def columns(names: tuple[str, str]) -> list[str]:
    """The table's columns; `names` of the two runs, the earlier one first."""
    return ["metric", *names, "change, 95% interval", "better / worse", "p", *BASELINES]


def table_row(row: Mapping[str, Any]) -> list[str | None]:
    """The cells of one `evaluation.before_after.Change`."""
    scale, digits = (100, 1) if row["is_share"] else (1, 2)
    low, value, high = (scale * row["change"][key] for key in ("low", "value", "high"))
    trivial = [row["baselines"].get(name) for name in BASELINES]
    return [
        row["name"],
        f"{scale * row['before']:.{digits}f}",
        f"{scale * row['after']:.{digits}f}",
        f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]",
        None if row["better"] is None else f"{row['better']} / {row['worse']}",
        "< 0.001" if row["p"] < 0.001 else f"{row['p']:.3f}",
        *(None if one is None else f"{100 * one:.1f}" for one in trivial),
    ]


def tables(comparison: Mapping[str, Any]) -> list[page.ReportSection]:
    """A table a point."""
    names = tuple(comparison["names"])
    several = len(comparison["points"]) > 1
    return [
        page.Table(
            f"{names[0]} against {names[1]}" + (f": {point['label']}" if several else ""),
            columns(names),
            [table_row(row) for row in point["rows"]],
            f"{point['verdict']} {point['questions']} questions. {NOTE}",
        )
        for point in comparison["points"]
    ]


def beside(
    shown: Sequence[ShownSample], samples: Sequence[Sample], earlier: Sequence[Sample], name: str
) -> list[ShownSample]:
    """The samples with what the earlier run answered, tagged by who was right; `samples` are those shown, in order."""
    by_place = {(sample.point, sample.id, sample.sample): sample for sample in earlier}
    one_each = all(len({sample.point for sample in side}) == 1 for side in (samples, earlier))
    by_question = {(sample.id, sample.sample): sample for sample in earlier} if one_each else {}
    paired = []
    for one, sample in zip(shown, samples, strict=True):
        other = by_place.get(sample.place) or by_question.get((sample.id, sample.sample))
        paired.append(one if other is None else _paired(one, other, name))
    return paired


def _paired(shown: ShownSample, other: Sample, name: str) -> ShownSample:
    tags = [tag for verdicts, tag in WHO_WAS_RIGHT.items() if verdicts == (other.is_right, shown.verdict)]
    completion = OtherCompletion(name, spans_of(other), other.extracted, other.is_right)
    return replace(shown, tags=[*shown.tags, *tags], other=completion)


def held_out_samples(run_dir: Path, comparison: Mapping[str, Any]) -> Samples:
    """The samples of a training's held-out problems after it, beside those before."""
    labels = {point["label"] for point in comparison["points"]}
    earlier, later = (
        [sample for sample in read_samples(run_dir / file) if sample.point in labels]
        for file in (comparison["samples"], "heldout_after.jsonl")
    )
    shown = [replace(shown_of(sample, sample.point), facts=sample.parts) for sample in later]
    paired = beside(shown, later, earlier, comparison["names"][0])
    return Samples(paired, "heldout_after.jsonl", "Held-out problems", "point")
