"""Metrics of samples beside their accuracy: those that their grader knows, and text metrics that a recipe names.

terms, entities    precision, recall and F1, the counts summed over all rows (micro), and the mean F1 of rows
entities           macro F1: the mean F1 of entity types
json               valid JSON, the mean share of fields right, and each field
rougeL and its kin their mean score
labels (a task's)  macro F1

Of a sample with several right replies the nearest counts, as in its verdict; text metrics say how they count several.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.sample import Sample
from data.problem import LITERAL_GRADERS, TEXT_GRADERS
from evaluation.metrics import Floats, Interval
from evaluation.pooled import pooled
from evaluation.results import questions
from rewards.grading.literal.answer import normal, unfenced
from rewards.grading.literal.entities import nearest_records, type_of, wanted_records
from rewards.grading.literal.json_fields import parsed
from rewards.grading.text_metrics.metric import mean_of
from rewards.grading.text_metrics.registry import text_metric

COUNTS = ("matched", "given", "wanted")


@dataclass(frozen=True, slots=True)
class SampleMetric:
    """One metric: `statistics` of N samples are (N, S), and `value` is a function of their sums (S,).

    `of_corpus`: it says nothing of one row (BLEU). `is_share`: it lies between 0 and 1, and is shown in percent.
    `is_mean`: statistics are [total, weight], and a sample of no weight has no figure, rather than a bad one.
    """

    name: str
    about: str
    statistics: Callable[[Sequence[Sample]], Floats]
    value: Callable[[Floats], float]
    of_corpus: bool = False
    is_share: bool = True
    is_mean: bool = False


def sample_metrics(names: Iterable[str], samples: Sequence[Sample], labels: Sequence[str] = ()) -> list[SampleMetric]:
    """The metrics of these samples: what their graders know, then the text metrics `names`. Raises `RewardError`."""
    graders = {sample.grader for sample in samples}
    found: list[SampleMetric] = []
    if graders & {"terms", "entities"}:
        found += [
            SampleMetric("precision", "of all given, the share that is right (micro)", _counts, _precision),
            SampleMetric("recall", "of all gold, the share that was found (micro)", _counts, _recall),
            SampleMetric("f1", "of the two (micro)", _counts, _f1),
        ]
    if "entities" in graders and (
        types := sorted({type_of(r) for s in samples for gold in s.golds for r in wanted_records(gold)} - {""})
    ):
        found.append(SampleMetric("macro_f1", "mean F1 of entity types", _typed(types), _macro_f1))
    if "json" in graders:
        found.append(share_metric("json_valid", "the answer is a JSON object", _is_object))
    if graders & {"terms", "entities", "json", *TEXT_GRADERS}:
        found.append(share_metric("score", "mean score of a row, by its grader", lambda sample: sample.score))
    if "json" in graders:
        fields = dict.fromkeys(name for sample in samples if sample.grader == "json" for name in sample.parts)
        found += [
            share_metric(f"field {name}", "the share of rows that have it right", _field(name)) for name in fields
        ]
    if labels:
        found.append(SampleMetric("macro_f1", "mean F1 of labels", _labelled(labels), _macro_f1))
    return found + [_text(name) for name in names]


def figures(metrics: Sequence[SampleMetric], samples: Sequence[Sample], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Each metric's `{value, low, high, n, about}`; those that no sample has a say in are left out."""
    found = {}
    for metric in metrics:
        rows = [row for row in rows_of(metric, samples).values() if row.any()]
        if rows:
            found[metric.name] = figure(pooled(np.array(rows), metric.value, seed=seed), metric)
    return found


def figure(interval: Interval, metric: SampleMetric) -> dict[str, Any]:
    """An interval with what was measured, for JSON."""
    return {**interval.as_dict(), "about": metric.about, "is_share": metric.is_share}


def rows_of(metric: SampleMetric, samples: Sequence[Sample]) -> dict[str, Floats]:
    """Question → (S,): the sum over its samples."""
    statistics = iter(metric.statistics(flat := [s for its in questions(samples).values() for s in its]))
    rows: dict[str, Floats] = {}
    for sample, row in zip(flat, statistics, strict=True):
        rows[sample.id] = rows[sample.id] + row if sample.id in rows else row
    return rows


def share_metric(name: str, about: str, score: Callable[[Sample], float | None]) -> SampleMetric:
    """The mean over the samples that have a score."""

    def statistics(samples: Sequence[Sample]) -> Floats:
        scores = [score(sample) for sample in samples]
        return np.array([(0.0, 0.0) if one is None else (one, 1.0) for one in scores]).reshape(-1, 2)

    return SampleMetric(name, about, statistics, mean_of, is_mean=True)


def _text(name: str) -> SampleMetric:
    metric = text_metric(name)

    def statistics(samples: Sequence[Sample]) -> Floats:
        return metric.statistics([written(sample) for sample in samples], [sample.golds for sample in samples])

    is_mean = metric.value is mean_of
    return SampleMetric(name, metric.about, statistics, metric.value, of_corpus=not is_mean, is_mean=is_mean)


def written(sample: Sample) -> str:
    """The whole reply: what a literal grader sees, else the answer section."""
    return (sample.extracted or "") if sample.grader in LITERAL_GRADERS else sample.answer


# ---- counts of terms and entities


def _counts(samples: Sequence[Sample]) -> Floats:
    return np.array([[sample.parts.get(name, 0.0) for name in COUNTS] for sample in samples]).reshape(-1, 3)


def _precision(sums: Floats) -> float:
    return float(sums[0] / sums[1]) if sums[1] else 0.0


def _recall(sums: Floats) -> float:
    return float(sums[0] / sums[2]) if sums[2] else 0.0


def _f1(sums: Floats) -> float:
    return float(2 * sums[0] / (sums[1] + sums[2])) if sums[1] + sums[2] else 0.0


def _macro_f1(sums: Floats) -> float:
    """The mean of the classes' F1, of sums [matched, given, wanted] × classes; a class that is nowhere is left out."""
    matched, given, wanted = sums.reshape(3, -1)
    there = given + wanted > 0
    return float((2 * matched[there] / (given + wanted)[there]).mean()) if there.any() else 0.0


def _typed(types: Sequence[str]) -> Callable[[Sequence[Sample]], Floats]:
    """(samples, 3 · types): matched, given and wanted of each type, one after the other."""

    def counts(sample: Sample) -> list[int]:
        wanted, given = nearest_records(sample.golds, sample.extracted or "")
        kinds = [[type_of(record) for record in side] for side in (wanted & given, given, wanted)]
        return [side.count(kind) for side in kinds for kind in types]

    return lambda samples: np.array([counts(sample) for sample in samples], dtype=np.float64)


def _labelled(labels: Sequence[str]) -> Callable[[Sequence[Sample]], Floats]:
    """(samples, 3 · labels): matched, given and wanted of each label, one after the other."""
    known = [normal(label) for label in labels]

    def counts(sample: Sample) -> list[bool]:
        gold, said = gold_label(sample), normal(sample.extracted or "")
        return [
            *(gold == said == label for label in known),
            *(said == label for label in known),
            *(gold == label for label in known),
        ]

    return lambda samples: np.array([counts(sample) for sample in samples], dtype=np.float64)


def gold_label(sample: Sample) -> str:
    """Of the right labels, as `normal` has them, the one that was answered, else the first."""
    golds = [normal(gold) for gold in sample.golds]
    said = normal(sample.extracted or "")
    return said if said in golds else golds[0]


# ---- JSON objects


def _is_object(sample: Sample) -> float | None:
    if sample.score is None:
        return None
    return float(sample.extracted is not None and isinstance(parsed(unfenced(sample.extracted)), dict))


def _field(name: str) -> Callable[[Sample], float | None]:
    return lambda sample: sample.parts.get(name)
