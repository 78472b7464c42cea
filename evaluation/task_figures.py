"""What an evaluation of a domain task says beside its accuracy: metrics, what trivial answers reach, label counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from configs.errors import RewardError
from configs.sample import Sample
from configs.schema.evaluation import PERPLEXITY, EvalConfig
from configs.schema.sections import DataConfig
from data.problem import Problem
from data.task import load_task
from evaluation.judging import JUDGEMENTS_FILE, judge_metric, judgements_in
from evaluation.perplexity import perplexity_metric
from evaluation.results import constant_answer, questions
from evaluation.sample_metrics import SampleMetric, figures, gold_label, rows_of, sample_metrics
from evaluation.sample_store import judged_samples
from report.before_after import CONSTANT, COPY
from rewards.grading.literal.answer import normal

OTHER = "another text"
"""What the confusion table calls a reply that is none of the labels."""


def check_metrics(data: DataConfig, names: Sequence[str] | None) -> None:
    """Raise `RewardError`, before anything is generated, for a metric that is unknown: see `metrics_of`."""
    metrics_of(data, names, [])
    if names is None and data.task and PERPLEXITY in load_task(data.task).config.metrics:
        raise RewardError(
            f"data.task: metrics: {PERPLEXITY} is no metric of replies; name it in an evaluation's recipe"
        )


def metrics_of(data: DataConfig, names: Sequence[str] | None, samples: Sequence[Sample]) -> list[SampleMetric]:
    """The metrics of samples of `data`: what graders know, and those of the recipe (`names`), else of its task.

    Raises `RewardError`.
    """
    task = load_task(data.task).config if data.task else None
    if names is None:
        names = task.metrics if task else []
    names = [name for name in names if name != PERPLEXITY]  # of the gold replies, not of samples
    return sample_metrics(names, samples, task.labels if task else ())


def recorded_metrics(config: EvalConfig, runs: Sequence[tuple[Path, Sequence[Sample]]]) -> list[SampleMetric]:
    """The metrics that answers without a model don't have, from what the folders of the samples' runs hold."""
    found = []
    if config.judge:
        texts = judgements_in(*(folder / JUDGEMENTS_FILE for folder, _ in runs))
        found.append(judge_metric(config.judge, texts))
    if config.measures_perplexity:
        found.append(perplexity_metric(runs))
    return found


def task_figures(
    data: DataConfig,
    names: Sequence[str] | None,
    problems: Sequence[Problem],
    samples: Sequence[Sample],
    seed: int,
    recorded: Sequence[SampleMetric] = (),
) -> dict[str, Any]:
    """`{metrics, baselines, labels}` of one point, for JSON; a part that has nothing to say is empty.

    `recorded`: see `recorded_metrics`.
    """
    metrics = metrics_of(data, names, samples)
    labels = load_task(data.task).config.labels if data.task else []
    return {
        "metrics": figures([*metrics, *recorded], samples, seed),
        "baselines": baselines(metrics, problems, samples) if metrics or labels else {},
        "labels": label_counts(labels, samples),
    }


def baselines(
    metrics: Sequence[SampleMetric], problems: Sequence[Problem], samples: Sequence[Sample]
) -> dict[str, dict[str, float]]:
    """Accuracy and metrics of answers that take no model: the most frequent gold answer, and the input itself."""
    by_id = {problem.id: problem for problem in problems}
    asked = [its[0] for id, its in questions(samples).items() if id in by_id]
    constant = constant_answer(asked)
    if constant is None:
        return {}
    found = {CONSTANT: _scored(metrics, asked, [constant["answer"]] * len(asked), by_id)}
    if all(by_id[sample.id].key for sample in asked):
        found[COPY] = _scored(metrics, asked, [by_id[sample.id].key for sample in asked], by_id)
    return found


def _scored(
    metrics: Sequence[SampleMetric], asked: Sequence[Sample], answers: Sequence[str], problems: Mapping[str, Problem]
) -> dict[str, float]:
    """The figures that one answer a question would have."""
    said = [
        replace(sample, extracted=answer, answer=answer, sample=0)
        for sample, answer in zip(asked, answers, strict=True)
    ]
    graded = judged_samples(said, [problems[sample.id] for sample in asked])
    verdicts = [float(sample.is_right) for sample in graded if sample.is_right is not None]
    found = {"accuracy": fmean(verdicts)} if verdicts else {}
    return found | {
        metric.name: metric.value(np.sum([*rows_of(metric, graded).values()], axis=0)) for metric in metrics
    }


def label_counts(labels: Sequence[str], samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    """The confusion table of a task with labels: gold label → what was answered → how often."""
    known = {normal(label): label for label in labels}
    table: dict[str, Counter[str]] = {label: Counter() for label in labels}
    for sample in samples if labels else ():
        table[known[gold_label(sample)]][known.get(normal(sample.extracted or ""), OTHER)] += 1
    return {label: dict(counts) for label, counts in table.items()}
