"""Training problems and held-out problems that share no question."""

import random
from collections.abc import Sequence
from typing import TypeVar

from configs.errors import DataError
from configs.schema.sections import DataConfig
from configs.schema.training import HeldOutConfig
from data.multiple_choice import stem
from data.problem import Problem, Trace, problem_of
from data.sources import load_problems

Asked = TypeVar("Asked", Problem, Trace)


def split_problems(data: DataConfig, held_out: HeldOutConfig | None) -> tuple[list[Problem], list[Problem]]:
    """(problems to train on, problems to measure on): a question that is in both is left out of training.

    Without `held_out.data` the measured problems are drawn from the training data. Raises `DataError` when nothing to
    train on is left.
    """
    problems = load_problems(data)
    if held_out is None:
        return problems, []
    measured = _measured(problems, held_out, data.seed)
    return _kept(problems, measured, "problems", held_out), measured


def split_traces(
    traces: Sequence[Trace], held_out: HeldOutConfig | None, seed: int
) -> tuple[list[Trace], list[Problem]]:
    """`split_problems` for traces; drawn from them are only those whose answer is known."""
    if held_out is None:
        return list(traces), []
    answered = [problem_of(trace, trace.answer) for trace in traces if trace.answer]
    if held_out.data is None and not answered and held_out.general is None:
        raise DataError(
            "eval: no trace has a known answer to measure against; name problems with eval.data, or eval.general"
        )
    measured = _measured(answered, held_out, seed)
    return _kept(traces, measured, "traces", held_out), measured


def _measured(problems: Sequence[Problem], held_out: HeldOutConfig, seed: int) -> list[Problem]:
    if held_out.data is not None:
        return load_problems(held_out.data)
    return random.Random(seed).sample(problems, min(held_out.problems, len(problems)))


def _kept(items: Sequence[Asked], measured: Sequence[Problem], noun: str, held_out: HeldOutConfig) -> list[Asked]:
    asked = [*measured, *(load_problems(held_out.general) if held_out.general else ())]
    questions = {_key(text) for problem in asked for text in (problem.identity, stem(problem))}
    kept = [item for item in items if _key(item.identity) not in questions]
    if not kept:
        way_out = "raise data.limit, or lower eval.problems" if held_out.data is None else "name others in eval.data"
        raise DataError(f"data: all {len(items)} {noun} are held out by eval; {way_out}")
    print(f"{len(kept)} {noun} to train on; {len(measured)} held out, whose questions are never trained on")
    return kept


def _key(question: str) -> str:
    """What makes two questions the same: letters and digits, not case or spacing."""
    return " ".join(question.casefold().split())
