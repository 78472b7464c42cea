"""Traces by name: a file or a hub data set in any layout of `data.formats`, or problems with their solutions."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from configs.schema.sections import DataConfig
from data.benchmarks import BENCHMARKS
from data.draw import drawn
from data.formats import Reject, of_rows, open_traces, stop
from data.hub_rows import hub_rows
from data.layouts import worked
from data.problem import LITERAL_GRADERS, Problem, Trace, references_of
from data.sources import load_problems, traces_of_task


def load_traces(config: DataConfig, rejected: Callable[[Reject], None] | None = None) -> list[Trace]:
    """What a `data:` section holds, as traces; with `limit` that many, drawn by `seed`.

    `path` wins over `source`; of a file or a hub data set the layout is detected, or `fields` maps it (see
    `data.formats.read`). A bad row goes to `rejected`, or stops where that is None. Problems must have a solution,
    which is the thinking. Raises `DataError`.
    """
    if config.task is not None:
        return traces_of_task(config, rejected)
    if config.path is None and (config.source in BENCHMARKS or "/" not in config.source):
        return solution_traces(load_problems(config, rejected), rejected)
    read = drawn(list(_read(config, rejected)), config.limit, config.seed)
    if config.grader in LITERAL_GRADERS:  # whatever else a row calls its answer: the reply is what is learned
        return [
            replace(
                trace,
                grader=config.grader,
                answer=trace.reply,
                references=references_of(trace.reply, trace.references),
            )
            for trace in read
        ]
    return [replace(trace, grader=config.grader) for trace in read] if config.grader else read


def _read(config: DataConfig, rejected: Callable[[Reject], None] | None) -> Iterator[Trace]:
    if config.path is not None:
        return open_traces(config.path, config.fields, rejected, config.split).traces
    rows = hub_rows(config.source, None, config.split or "train")
    return of_rows(Path(config.source), rows, config.fields, rejected).traces


def solution_traces(problems: Iterable[Problem], rejected: Callable[[Reject], None] | None = None) -> list[Trace]:
    """What SFT trains on: each problem's `of_problem`.

    A problem without a solution goes to `rejected`; where that is None it raises `DataError`.
    """
    reason = "no solution to make a trace of; name a file of traces with data.path=FILE"
    traces = [of_problem(problem) for problem in problems]
    for bare in (trace for trace in traces if not trace.thinking):
        fields = {"id": bare.id, "question": bare.question, "answer": bare.answer}
        (rejected or stop)(Reject(bare.source, 0, reason, fields))
    return [trace for trace in traces if trace.thinking]


def of_problem(problem: Problem) -> Trace:
    """The problem's reference solution as the thinking ("" if it has none), its bare answer as the reply."""
    return Trace(
        id=problem.id,
        question=problem.question,
        thinking=worked(problem.solution or ""),
        reply=problem.answer,
        source=problem.source,
        answer=problem.answer,
        metadata=dict(problem.metadata),
        grader=problem.grader,
        system=problem.system,
        history=tuple(problem.history),
        key=problem.key,
        references=problem.references,
    )
