"""Traces by name: a file or a hub data set in any layout of `data.formats`, or problems with their solutions."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from configs.schema.sections import DataConfig
from data.benchmarks import BENCHMARKS
from data.dataset_info import find
from data.draw import drawn
from data.formats import Opened, Reject, of_rows, open_traces, stop
from data.header import looks_like_data, numbered_columns
from data.hub_rows import hub_rows
from data.layouts import worked
from data.problem import LITERAL_GRADERS, Problem, Trace, references_of
from data.sources import load_problems, traces_of_task
from data.task import load_task

LOOKED_AT = 100
"""So many rows say which columns there are."""


def load_traces(config: DataConfig, rejected: Callable[[Reject], None] | None = None) -> list[Trace]:
    """What a `data:` section holds, as traces; with `limit` that many, drawn by `seed`.

    `path` wins over `source`; of a file or a hub data set the layout is detected, or `fields` maps it (see
    `data.formats.read`). A bad row goes to `rejected`, or stops where that is None. Problems must have a solution,
    which is the thinking. Raises `DataError`.
    """
    if config.task is not None:
        return traces_of_task(config, rejected)
    if _is_problems(config):
        return solution_traces(load_problems(config, rejected), rejected)
    read = drawn(list(open_data(config, rejected).traces), config.limit, config.seed)
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


def _is_problems(config: DataConfig) -> bool:
    """Whether the source is one of problems, by name; a hub id has a slash."""
    return config.path is None and (config.source in BENCHMARKS or "/" not in config.source)


def open_data(config: DataConfig, rejected: Callable[[Reject], None] | None = None) -> Opened:
    """The same traces as they stream, of a file or a hub data set all of them, with the layout that they have.

    Raises `DataError`.
    """
    if config.task is not None:
        return Opened(f"task {load_task(config.task).name}", iter(load_traces(config, rejected)))
    if _is_problems(config):
        return Opened(f"problems of {config.source}", iter(load_traces(config, rejected)))
    if config.path is not None:
        return open_traces(config.path, config.fields, rejected, config.split)
    rows = hub_rows(config.source, None, config.split or "train")
    return of_rows(Path(config.source), rows, config.fields, rejected)


def column_names(config: DataConfig) -> list[str]:
    """The columns of a file's or a hub data set's first rows, in order; by number where a file seems to have no header.

    None of problems by name. Raises `DataError` for what can't be read.
    """
    if config.path is not None:
        _, rows = next(find(config.path).files(config.split, config.fields.values()))
    elif _is_problems(config):
        return []
    else:
        rows = hub_rows(config.source, None, config.split or "train")
    names = list(dict.fromkeys(name for row in itertools.islice(rows, LOOKED_AT) for name in row.fields))
    return numbered_columns(len(names)) if looks_like_data(names) else names


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
