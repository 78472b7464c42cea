"""Before against after: each figure of two runs on the same questions, with the interval of its change.

`comparison.json`, of an evaluation and of a training, is `{names, samples, points}`: what the two runs are called, the
file of the earlier one's samples, and what `compare_point` says of each point. An evaluation's has `earlier_points`
too: those of the file that were compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table

from configs.sample import Sample
from data.problem import TEXT_GRADERS
from evaluation.compare import Comparison, compare_samples, screen
from evaluation.metrics import Interval
from evaluation.pooled import pooled_change, swap_test
from evaluation.sample_metrics import SampleMetric, rows_of
from report.before_after import columns, table_row


@dataclass(frozen=True, slots=True)
class Change:
    """One figure before and after over the `change.n` questions that both runs have, from 0 to 1 if it `is_share`.

    `better`, `worse`: questions on which it is higher, and lower; None for a figure of the whole corpus. `baselines`:
    what answers that take no model reach (`evaluation.task_figures.baselines`).
    """

    name: str
    about: str
    before: float
    after: float
    change: Interval
    better: int | None
    worse: int | None
    p: float
    baselines: Mapping[str, float]
    is_share: bool = True


def changes(
    comparison: Comparison,
    metrics: Sequence[SampleMetric],
    before: Sequence[Sample],
    after: Sequence[Sample],
    baselines: Mapping[str, Mapping[str, float]],
    seed: int = 0,
) -> list[Change]:
    """Accuracy first (`comparison`), then each metric that both runs have."""
    accuracy = Change(
        "accuracy", f"right as a whole; {comparison.test}", comparison.a.value, comparison.b.value,
        comparison.difference, comparison.better, comparison.worse, comparison.p, _of("accuracy", baselines),
    )  # fmt: skip
    return [accuracy, *(c for m in metrics if (c := _change(m, before, after, baselines, seed)) is not None)]


def _change(
    metric: SampleMetric,
    before: Sequence[Sample],
    after: Sequence[Sample],
    baselines: Mapping[str, Mapping[str, float]],
    seed: int,
) -> Change | None:
    earlier, later = rows_of(metric, before), rows_of(metric, after)
    together = all if metric.is_mean else any  # counts may be none on one side: no entity there, none found
    both = [id for id in earlier if id in later and together(side[id].any() for side in (earlier, later))]
    if not both:
        return None
    a, b = (np.array([rows[id] for id in both]) for rows in (earlier, later))
    ups = np.sign([metric.value(late) - metric.value(early) for early, late in zip(a, b, strict=True)])
    if not metric.is_share:  # a perplexity is better when it is lower
        ups = -ups
    return Change(
        name=metric.name,
        about=metric.about,
        before=metric.value(a.sum(axis=0)),
        after=metric.value(b.sum(axis=0)),
        change=pooled_change(a, b, metric.value, seed=seed),
        better=None if metric.of_corpus else int((ups > 0).sum()),
        worse=None if metric.of_corpus else int((ups < 0).sum()),
        p=swap_test(a, b, metric.value, seed=seed),
        baselines=_of(metric.name, baselines),
        is_share=metric.is_share,
    )


def _of(figure: str, baselines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: values[figure] for name, values in baselines.items() if figure in values}


def verdict(text: str, first: Change) -> str:
    """`text` of the first figure, and a word where answers that take no model reach as much."""
    trivial = {name: value for name, value in first.baselines.items() if value >= first.after}
    if first.change.value > 0 and trivial:
        name, value = max(trivial.items(), key=lambda item: item[1])
        text += f" But the {name} reaches {100 * value:.1f}%, no less than the model."
    return text


def degree(score: Change, name: str) -> str:
    """The change of a mean score in words."""
    if score.change.low <= 0 <= score.change.high:
        return f"The mean score of {name} is not surely another: the interval of its change holds 0."
    side = "higher" if score.change.low > 0 else "lower"
    return (
        f"The mean score of {name} is {side} by {abs(100 * score.change.value):.1f} points, more than chance explains."
    )


def compare_point(
    label: str,
    names: tuple[str, str],
    metrics: Sequence[SampleMetric],
    before: Sequence[Sample],
    after: Sequence[Sample],
    baselines: Mapping[str, Mapping[str, float]],
    seed: int = 0,
) -> dict[str, Any]:
    """One point of the two runs, called `names`, for JSON: `{label, questions, unpaired, ungraded, verdict, rows}`.

    Raises `RunError` where they share no graded question, or a question has another gold answer.
    """
    comparison = compare_samples(label, before, after)
    rows = changes(comparison, metrics, before, after, baselines, seed)
    text = comparison.verdict(*names)
    if {sample.grader for sample in after} <= {*TEXT_GRADERS}:  # right to a degree: no reply is right as a whole
        rows = rows[1:]
        text = degree(rows[0], names[1])
    return {
        "label": label,
        "questions": comparison.questions,
        "unpaired": comparison.unpaired,
        "ungraded": [sum(sample.score is None for sample in side) for side in (before, after)],
        "verdict": verdict(text, rows[0]),
        "rows": [asdict(row) for row in rows],
    }


def show_point(point: Mapping[str, Any], names: tuple[str, str], heading: bool = False) -> None:
    """Print the table of a point, and its verdict."""
    title = f"{point['label']}, {point['questions']} questions" if heading else f"{point['questions']} questions"
    table = Table(box=SIMPLE, title=escape(title))
    for column in columns(names):
        is_name = column in names  # a path, however long, leaves the figures their room
        justify: JustifyMethod = "left" if column == "metric" else "right"
        table.add_column(
            escape(column), justify=justify, no_wrap=not is_name, overflow="fold", max_width=24 if is_name else None
        )
    for row in point["rows"]:
        table.add_row(*(escape("–" if cell is None else str(cell)) for cell in table_row(row)))
    console = screen()
    console.print(table)
    console.print(escape(point["verdict"]), highlight=False)
    if any(point["ungraded"]):
        console.print("ungraded samples: {} before, {} after".format(*point["ungraded"]), highlight=False)
    if point["unpaired"]:
        console.print(f"left out, answered or graded in one run only: {point['unpaired']} questions", highlight=False)
