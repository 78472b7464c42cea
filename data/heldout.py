"""Training problems and held-out problems that share no question."""

import random

from configs.errors import DataError
from configs.schema import DataConfig, HeldOutConfig
from data.problem import Problem
from data.sources import load_problems


def split(data: DataConfig, held_out: HeldOutConfig | None) -> tuple[list[Problem], list[Problem]]:
    """(problems to train on, problems to measure on): a question that is in both is left out of training.

    Without `held_out.data` the measured problems are drawn from the training data. Raises `DataError` when nothing to
    train on is left.
    """
    problems = load_problems(data)
    if held_out is None:
        return problems, []
    if held_out.data is not None:
        measured = load_problems(held_out.data)
    else:
        measured = random.Random(data.seed).sample(problems, min(held_out.problems, len(problems)))
    questions = {_key(problem.question) for problem in measured}
    kept = [problem for problem in problems if _key(problem.question) not in questions]
    if not kept:
        raise DataError(
            f"data: all {len(problems)} problems are held out by eval; raise data.limit, or lower eval.problems"
        )
    print(f"{len(kept)} problems to train on; {len(measured)} held out, whose questions are never trained on")
    return kept, measured


def _key(question: str) -> str:
    """What makes two questions the same: letters and digits, not case or spacing."""
    return " ".join(question.casefold().split())
