"""What the harness found → the points of `results.json`, each with an interval, and samples that runs are compared by.

A record is what is kept of one task: `{task, key, output_type, shots, version, documents, results, truncated, cut,
seconds, tokens}`; `results` and the task's rows are the harness's own. Equal records and rows give equal points.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from configs.sample import Sample
from evaluation import metrics
from evaluation.metrics import Interval

Row = Mapping[str, Any]
Aggregate = Callable[[Sequence[Any]], float]
GRADER = "lm-eval"
DRAWS = 1_000
SLOW = {"bleu": 100, "chrf": 100, "ter": 100}
"""Draws of metrics that take long over a corpus; as many as the harness itself draws for their standard error."""


def label_of(task: str, metric: str, chosen: str) -> str:
    """A point's name: "mmlu acc", "gsm8k exact_match,strict-match"; `chosen` is the harness's filter."""
    return f"{task} {metric}" if chosen == "none" else f"{task} {metric},{chosen}"


def metrics_in(results: Row) -> Iterator[tuple[str, str]]:
    """(metric, filter) of what the harness says of a task or a group."""
    for key in results:
        metric, comma, chosen = key.partition(",")
        if comma and not metric.endswith("_stderr"):
            yield metric, chosen


def items_of(rows: Sequence[Row], metric: str, chosen: str) -> list[Any]:
    """The metric of each document that has one: a number, or what the metric's aggregation takes."""
    return [row[metric] for row in rows if row["filter"] == chosen and row.get(metric) is not None]


def task_points(
    record: Row, rows: Sequence[Row], aggregations: Mapping[str, Aggregate], better: Mapping[str, bool], seed: int
) -> list[dict[str, Any]]:
    """A point a metric of one task."""
    points = []
    for metric, chosen in metrics_in(record["results"]):
        items = items_of(rows, metric, chosen)
        value = record["results"][f"{metric},{chosen}"]
        aggregate = aggregations.get(metric, _mean)
        interval = interval_of(items, value, aggregate, SLOW.get(metric, DRAWS), seed)
        points.append(_point(record["results"], metric, chosen, interval, items, better.get(metric)))
        points[-1] |= {"task": record["task"], "shots": record["shots"], "version": record["version"]}
    return [{"label": label_of(point["task"], point["metric"], point["filter"]), **point} for point in points]


def group_points(
    name: str, results: Row, members: Sequence[Sequence[Row]], weighted: Mapping[str, bool], better: Row, seed: int
) -> list[dict[str, Any]]:
    """A point a metric that a group has over its tasks; `members`: the rows of each, `weighted`: by metric."""
    points = []
    for metric, chosen in metrics_in(results):
        parts = [items for rows in members if (items := items_of(rows, metric, chosen))]
        items = [item for part in parts for item in part]
        interval = None
        if all(map(_is_number, items)):
            interval = stratified(parts, weighted.get(metric, True), results[f"{metric},{chosen}"], seed)
        point = _point(results, metric, chosen, interval, items, better.get(metric))
        points.append({"label": label_of(name, metric, chosen), **point, "task": name, "shots": None, "version": None})
    return points


def _point(
    results: Row, metric: str, chosen: str, interval: Interval | None, items: Sequence[Any], better: bool | None
) -> dict[str, Any]:
    return {
        "metric": metric,
        "filter": chosen,
        "value": _finite(results[f"{metric},{chosen}"]),
        "stderr": _finite(results.get(f"{metric}_stderr,{chosen}")),
        "interval": interval.as_dict() if interval else None,
        "is_share": all(map(_is_share, items)),
        "higher_is_better": better,
        "documents": len(items),
    }


def _mean(items: Sequence[Any]) -> float:
    return fmean(items)


def interval_of(
    items: Sequence[Any], value: float | None, aggregate: Aggregate, draws: int = DRAWS, seed: int = 0
) -> Interval | None:
    """95%, over documents: Wilson for right and wrong, a bootstrap of the mean, else one of the task's `aggregate`.

    None where it can't be told: no document, or resamples that have no figure.
    """
    if not items or value is None or not math.isfinite(value):
        return None
    if all(map(_is_number, items)) and abs(fmean(items) - value) < 1e-9:
        return metrics.accuracy([[float(item)] for item in items], seed=seed)
    rng = np.random.default_rng(seed)
    drawn = [aggregate([items[at] for at in rng.integers(len(items), size=len(items))]) for _ in range(draws)]
    if not all(map(math.isfinite, drawn)):
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(value), float(low), float(high), len(items))


def stratified(parts: Sequence[Sequence[float]], weighted: bool, value: float | None, seed: int = 0) -> Interval | None:
    """95% of a group's mean, documents resampled within their tasks; `weighted`: by a task's size, else all alike."""
    if not parts or value is None or not math.isfinite(value):
        return None
    total = sum(map(len, parts))
    drawn = np.zeros(metrics.DRAWS)
    for at, part in enumerate(parts):
        weight = len(part) / total if weighted else 1 / len(parts)
        drawn += weight * metrics.bootstrap_means(np.asarray(part, dtype=np.float64), metrics.DRAWS, seed + at)
    low, high = np.quantile(drawn, [0.025, 0.975])
    if low == high and all(map(_is_share, (item for part in parts for item in part))):
        low, high = (getattr(metrics.wilson(round(value * total), total), end) for end in ("low", "high"))
    return Interval(float(value), float(low), float(high), total)


def samples_of(record: Row, rows: Sequence[Row], asked_as: str) -> list[Sample]:
    """A sample a document and metric that says right or wrong, in points of the name that the recipe asked by.

    So a group's tasks are one point, and two runs are compared over all of its questions.
    """
    found = []
    for metric, chosen in metrics_in(record["results"]):
        if not all(item in (0, 1) for item in items_of(rows, metric, chosen) if _is_number(item)):
            continue
        found += [
            _sample(record, row, label_of(asked_as, metric, chosen), metric)
            for row in rows
            if row["filter"] == chosen and _is_number(row.get(metric))
        ]
    return found


def _sample(record: Row, row: Row, label: str, metric: str) -> Sample:
    written, options = row["generation"] or {}, row["options"]
    answer = extracted = None
    if options:
        scores = [float(answers[0]) for answers in row["filtered_resps"]]
        text = "\n".join(f"{score:10.3f}  {option}" for score, option in zip(scores, options, strict=True))
        extracted = options[int(np.argmax(scores))] if metric == "acc" else None
    elif written:
        text = answer = str(row["resps"][0][0])
        extracted = _text(row["filtered_resps"][0])
    else:
        text = json.dumps(row["resps"])
    return Sample(
        id=f"{record['task']}/{row['doc_id']}",
        point=label,
        question=row["question"],
        gold=row["gold"],
        grader=GRADER,
        text=f"{written['thinking']}\n\n{text}" if written.get("thinking") else text,
        thinking=written.get("thinking", ""),
        answer=answer or "",
        extracted=extracted,
        score=float(row[metric]),
        finish=written.get("finish"),
        completion_tokens=written.get("completion_tokens"),
        thinking_tokens=written.get("thinking_tokens"),
        key=record["key"],
        prompt_hash=row["prompt_hash"],
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _finite(value: Any) -> float | None:
    return float(value) if _is_number(value) and math.isfinite(value) else None
