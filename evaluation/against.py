"""`--compare`: an evaluation against the same questions without the adapter, or against another run's samples."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from budget_forcing.budget import Budget
from configs.errors import ConfigError, RunError
from configs.run_directory import RunDir, write_json
from configs.run_record import read_record
from configs.sample import Sample
from configs.schema.evaluation import EvalConfig
from data.problem import Problem
from evaluation.before_after import compare_point, show_point
from evaluation.compare import OTHER_GOLD, find_run, pairs
from evaluation.plan import asked_of, label_of
from evaluation.results import Point
from evaluation.task_figures import baselines, metrics_of, recorded_metrics
from models.backend import check_model_config
from report.before_after import COMPARISON_FILE

BASE = "base"


def check_compared(config: EvalConfig, compare: str) -> None:
    """Raise a `MullError` where there is nothing to compare with."""
    if compare == BASE:
        check_model_config(base_config(config).model)
    else:
        find_run(compare)


def check_comparable(config: EvalConfig, problems: Sequence[Problem], earlier: Mapping[str, list[Sample]]) -> None:
    """Raise `RunError`, before anything is generated, where the other run has no point or no question of this one."""
    golds = {sample.id: sample.golds for samples in earlier.values() for sample in samples}
    shared = [problem for problem in problems if problem.id in golds]
    if not shared:
        raise RunError("--compare: the two runs share no question; compare runs on the same benchmark")
    if changed := [problem.id for problem in shared if problem.golds != golds[problem.id]]:
        raise RunError(f"--compare: question {changed[0]} {OTHER_GOLD}")
    if config.answers is None and all(section.effort is None for section in config.budgets):  # the engine's context
        budgets = [Budget.from_config(section, config.model.max_length) for section in config.budgets]
        asked = [asked_of(section) for section in config.budgets]
        pairs(earlier, {label_of(*point): [] for point in zip(budgets, asked, strict=True)})


def base_config(config: EvalConfig) -> EvalConfig:
    """The recipe for the model before it was trained: without its adapter, or the base that its training loaded.

    Its run is the folder `<output_dir>-base`, which later comparisons find again. Raises `ConfigError` where there is
    no telling.
    """
    output = {"output_dir": f"{config.output_dir}-{BASE}"}
    if config.answers is not None:
        raise ConfigError("--compare base: answers of another tool have no base; give --compare the folder of a run")
    if config.model.adapter is not None:
        return config.model_copy(update={"model": config.model.model_copy(update={"adapter": None}), **output})
    record = read_record(Path(config.model.name).parent) if Path(config.model.name).is_dir() else None
    if record is None or record.loaded is None:
        raise ConfigError(
            f"--compare base: the recipe names no adapter, and {config.model.name} is no training's product; set "
            "model.adapter, or give --compare the folder of a run"
        )
    return config.model_copy(update={"model": config.model.model_copy(update={"name": record.loaded.name}), **output})


def compare_with(
    config: EvalConfig,
    problems: Sequence[Problem],
    run: RunDir,
    points: Sequence[Point],
    name: str,
    earlier: Mapping[str, list[Sample]],
    earlier_file: Path,
) -> dict[str, Any]:
    """Write `comparison.json`, print its tables, and return what it holds. Raises `RunError`.

    `earlier`: the other run's samples by point; `name`: what it is called.
    """
    names = (name, "this run")
    found = []
    for label, (before, after) in pairs(earlier, {point.label: list(point.samples) for point in points}).items():
        metrics = metrics_of(config.data, config.metrics, [*before, *after])
        shared = {sample.id for sample in before}
        trivial = baselines(metrics, problems, [sample for sample in after if sample.id in shared])
        metrics += recorded_metrics(config, [(earlier_file.parent, before), (run.path, after)])
        found.append(compare_point(label, names, metrics, before, after, trivial, config.seed))
    file = os.path.relpath(earlier_file, run.path)
    comparison = {"names": names, "samples": file, "earlier_points": list(earlier), "points": found}
    write_json(run / COMPARISON_FILE, comparison)
    for point in found:
        show_point(point, names, heading=len(found) > 1)
    return comparison
