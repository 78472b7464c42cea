"""A finished evaluation under several budgets without the model: samples by their scores and thinking tokens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from budget_forcing.budget import Budget
from configs.recipe import validate
from configs.run_directory import RunDir
from configs.sample import Sample
from configs.schema.evaluation import EvalConfig
from data.problem import Problem
from evaluation.plan import asked_of, label_of
from evaluation.results import Point
from evaluation.runner import finish
from evaluation.sample_store import SampleStore

VERDICTS = {"1": 1.0, "0": 0.0, "?": None}
Verdicts = Mapping[Any, str]
"""`max_thinking` → verdicts, a character a sample: right, wrong, ungraded; samples of a question stand together."""


def swept_run(folder: Path, verdicts_of: Verdicts, samples: int = 1, **recipe: Any) -> Path:
    """The folder; a sample under a limit thinks for as long, one without for 1,000 tokens.

    `recipe` replaces sections of the recipe; `budgets` there is what the keys stand for, in their order.
    """
    sections = [{"max_thinking": limit, "max_answer": 16} for limit in verdicts_of]
    values = {
        "model": {"name": "smollm2-135m"},
        "data": {"source": "arithmetic"},
        "budgets": sections,
        "samples": samples,
        "sampling": {"temperature": 0.0 if samples == 1 else 1.0},
        "output_dir": str(folder),
    }
    config: EvalConfig = validate("eval", values | recipe, "sweep.yaml")
    run = RunDir(folder)
    run.start(config)
    points = []
    for section, verdicts in zip(config.budgets, verdicts_of.values(), strict=True):
        budget, asked = Budget.from_config(section, 2048), asked_of(section)
        label = label_of(budget, asked)
        its = [
            Sample(
                id=f"q{at // samples}",
                point=label,
                sample=at % samples,
                gold="7",
                extracted="7",
                score=VERDICTS[verdict],
                thinking_tokens=1000 if section.max_thinking is None else section.max_thinking,
            )
            for at, verdict in enumerate(verdicts)
        ]
        points.append(Point(label, {**budget.as_dict(), **asked}, its))
    SampleStore(folder / "samples.jsonl").write([sample for point in points for sample in point.samples])
    ids = dict.fromkeys(sample.id for point in points for sample in point.samples)
    finish(config, [Problem(id, "?", "7", "test") for id in ids], run, points)
    return folder
