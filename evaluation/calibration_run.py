"""A finished evaluation, read for the candidates of a calibration."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from configs.errors import RunError
from configs.recipe import validate
from configs.sample import Sample, read_samples
from configs.schema.evaluation import EvalConfig
from configs.schema.sections import BudgetConfig
from evaluation.candidates import Candidate, candidate_of
from evaluation.probed_candidates import probed_candidates
from evaluation.results import questions
from evaluation.sample_store import SampleStore
from evaluation.trajectories import PROBES_FILE, trajectories
from report.evaluation import names_of

NAME_ONE = "name the folder of a finished `mull evaluate`"


@dataclass(frozen=True, slots=True)
class CalibrationRun:
    """A finished evaluation, read for its candidates.

    results     what `results.json` holds
    candidates  scores and tokens are of the questions in `ids`, in this order
    notes       what was left out, in words
    """

    path: Path
    config: EvalConfig
    results: Mapping[str, Any]
    ids: Sequence[str]
    candidates: Sequence[Candidate]
    notes: Sequence[str]


def read_calibration_run(folder: str | Path) -> CalibrationRun:
    """The evaluation in `folder`. Raises `RunError` where it is none, unfinished, or leaves nothing to choose from."""
    # 1. its recipe, its results, its samples
    path = Path(folder)
    if missing := [n for n in ("config.yaml", "results.json", "samples.jsonl") if not (path / n).is_file()]:
        raise RunError(f"{path}: no {missing[0]} there; {NAME_ONE}")
    try:
        results = json.loads((path / "results.json").read_text(encoding="utf-8"))
        values = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
        samples = read_samples(path / "samples.jsonl")
        measured = results["points"]
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise RunError(f"{path}: damaged: {' '.join(str(error).split())}; evaluate again with --resume") from None
    config: EvalConfig = validate("eval", values, str(path / "config.yaml"))
    by_label: dict[str, dict[Any, Sample]] = {}
    for sample in samples:
        by_label.setdefault(sample.point, {})[sample.place] = sample  # of two in one place the later

    # 2. the points that are plain budgets
    points, notes = [], []
    for section, point in zip(config.budgets, measured, strict=False):
        found = list(by_label.get(point["label"], {}).values())
        if len(found) != point["samples"] or len(questions(found)) != point["questions"]:
            raise RunError(
                f"{path}: {point['label']}: {len(found)} samples, and results.json counts {point['samples']}; finish "
                "the evaluation (--resume) first"
            )
        if asked := sorted(point["budget"].keys() - BudgetConfig.model_fields.keys()):
            notes.append(f"{point['label']} is left out: chat and serve have no {' and no '.join(asked)}")
        elif point["budget"] and point["thinking_tokens"] is not None:
            budget = BudgetConfig.model_validate(point["budget"] | {"stop_when": section.stop_when})
            points.append((point, budget, found))
    probes = config.probes if results.get("probes") else None
    if len(points) < 2 and not (points and probes):
        raise RunError(
            f"{path}: {len(points)} thinking budget{'s' * (len(points) != 1)} there, and a calibration needs a longest "
            "one and cheaper ones; evaluate under several `budgets:`, or with `probes:`"
        )

    # 3. the questions that any budget has a verdict on
    names = names_of([point for point, _, _ in points])
    every = questions([sample for _, _, found in points for sample in found])
    ids = [id for id, its in every.items() if any(sample.score is not None for sample in its)]
    if len(ids) < len(every):
        notes.append(f"{len(every) - len(ids)} of {len(every)} questions are left out: no answer to them was graded")
    if not ids:
        raise RunError(f"{path}: no sample there was graded")
    candidates = []
    for point, budget, found in points:
        name = names[point["label"]] if budget.limits_thinking else "no limit"
        candidates.append(candidate_of(name, budget, found, ids))
        if probes and point["label"] == results["probes"]["point"]:
            probed = list(SampleStore(path / PROBES_FILE).load().values())
            its = trajectories(found, probed, probes.every)
            kept = sum(len(one.probes) for one in its)
            if kept != results["probes"]["probes"]:
                raise RunError(
                    f"{path}: {kept} probes, and results.json counts {results['probes']['probes']}; finish the "
                    "evaluation (--resume) first"
                )
            candidates += probed_candidates(probes, budget, its, ids)
    return CalibrationRun(path, config, results, ids, candidates, notes)
