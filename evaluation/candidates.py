"""What a calibration chooses from: the budgets of a finished evaluation, each with its score and cost a question.

A candidate need not be a point of a sweep: whatever has a `budget:` section, and for each question of the run a score
and thinking tokens, is one. Chains and the longest candidate come from the sections alone, never from what was
measured, so that the tests over them hold.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from configs.errors import RunError
from configs.recipe import validate
from configs.sample import Sample, read_samples
from configs.schema.evaluation import EvalConfig
from configs.schema.sections import BudgetConfig
from evaluation.results import questions
from evaluation.risk_control import Floats
from report.evaluation import names_of

NAME_ONE = "name the folder of a finished `mull evaluate`"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One budget.

    name         in tables
    budget       its section
    least, most  (questions,) mean score of a question's samples if every ungraded one were wrong, and if it were right
    tokens       (questions,) mean thinking tokens, what is spent to decide when to stop included
    samples      of a question, at most; it chooses the test
    ungraded     samples without a verdict
    """

    name: str
    budget: BudgetConfig
    least: Floats
    most: Floats
    tokens: Floats
    samples: int = 1
    ungraded: int = 0

    def on(self, at: npt.NDArray[np.int64]) -> "Candidate":
        """The candidate on the questions at these positions."""
        return replace(self, least=self.least[at], most=self.most[at], tokens=self.tokens[at])


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


def longest_of(candidates: Sequence[Candidate]) -> Candidate:
    """The one that may think longest."""
    return max(candidates, key=lambda one: length_order(one.budget))


def chains_of(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """All but the longest: those that differ in their limit alone make a chain, longest first."""
    longest, chains = longest_of(candidates), dict[str, list[Candidate]]()
    for one in sorted(candidates, key=lambda one: length_order(one.budget), reverse=True):
        if one is not longest:
            chains.setdefault(repr(one.budget.model_copy(update={"max_thinking": None})), []).append(one)
    return list(chains.values())


def length_order(budget: BudgetConfig) -> tuple[float, int, int, int]:
    """What sorts budgets by how long they may, and must, think, and may answer."""
    limit = math.inf if budget.max_thinking is None else budget.max_thinking
    return limit, budget.num_waits, budget.min_thinking, budget.max_answer


def losses(longest: Candidate, cheaper: Candidate) -> Floats:
    """(questions,) what the cheaper one loses, from -1 to 1; ungraded samples count against it."""
    return longest.most - cheaper.least


def candidate_of(name: str, budget: BudgetConfig, samples: Sequence[Sample], ids: Sequence[str]) -> Candidate:
    """The candidate whose samples these are; `ids`: the questions to take, in this order."""
    by_id = questions(samples)
    its = [by_id[id] for id in ids]

    def means(ungraded: bool) -> Floats:
        rights = [[ungraded if s.is_right is None else s.is_right for s in group] for group in its]
        return np.array([fmean(group) for group in rights], dtype=np.float64)

    tokens = [fmean(sample.thinking_tokens or 0 for sample in group) for group in its]
    missing = sum(sample.is_right is None for group in its for sample in group)
    return Candidate(
        name=name,
        budget=budget,
        least=means(False),
        most=means(True),
        tokens=np.array(tokens, dtype=np.float64),
        samples=max(map(len, its)),
        ungraded=missing,
    )


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
    for point in measured:
        found = list(by_label.get(point["label"], {}).values())
        if len(found) != point["samples"] or len(questions(found)) != point["questions"]:
            raise RunError(
                f"{path}: {point['label']}: {len(found)} samples, and results.json counts {point['samples']}; finish "
                "the evaluation (--resume) first"
            )
        if asked := sorted(point["budget"].keys() - BudgetConfig.model_fields.keys()):
            notes.append(f"{point['label']} is left out: chat and serve have no {' and no '.join(asked)}")
        elif point["budget"] and point["thinking_tokens"] is not None:
            points.append((point, found))
    if len(points) < 2:
        raise RunError(
            f"{path}: {len(points)} thinking budget{'s' * (len(points) != 1)} there, and a calibration needs a longest "
            "one and cheaper ones; evaluate under several `budgets:`"
        )

    # 3. the questions that any budget has a verdict on
    names = names_of([point for point, _ in points])
    every = questions([sample for _, found in points for sample in found])
    ids = [id for id, its in every.items() if any(sample.score is not None for sample in its)]
    if len(ids) < len(every):
        notes.append(f"{len(every) - len(ids)} of {len(every)} questions are left out: no answer to them was graded")
    if not ids:
        raise RunError(f"{path}: no sample there was graded")
    candidates = []
    for point, found in points:
        budget = BudgetConfig.model_validate(point["budget"])
        name = names[point["label"]] if budget.limits_thinking else "no limit"
        candidates.append(candidate_of(name, budget, found, ids))
    return CalibrationRun(path, config, results, ids, candidates, notes)
