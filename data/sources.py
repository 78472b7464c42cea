"""Problems by name: known benchmarks, generated families, local files, and hub data sets.

A known benchmark is read from `data.path`, else from a folder of local copies named by the environment variable
`MULL_DATA`, else from the hub. Without `limit` the source keeps its order; with it, that many are drawn by `seed`.
"""

import itertools
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from configs.errors import DataError
from configs.schema.sections import DataConfig
from configs.suggestion import did_you_mean
from data import answers, arithmetic, dataset_info
from data.benchmarks import BENCHMARKS, Benchmark
from data.boxed import last_boxed
from data.cells import cell, gold_of, has_column, text_at
from data.clinic_notes import note_rows
from data.draw import drawn
from data.formats import Reject, reject_of, stop
from data.hub_rows import hub_rows
from data.multiple_choice import pose
from data.option_letters import gold_letter, without_own_letters
from data.problem import LITERAL_GRADERS, Problem, Trace, problem_of
from data.problem_columns import question_in, warn_of_two_golds, why_unanswered
from data.row import BadRow, Row
from data.rows import read_rows
from data.task import load_task, task_traces

log = logging.getLogger("mull.data")

GENERATED = 1000
"""How many problems a generated source makes without `data.limit`."""


_COLUMNS = ("question", "answer", "solution", "id")
"""What of a row a problem has by name, and `data.fields` maps."""
_FILE = Benchmark(
    hub=("", None),
    split="train",
    local="",
    fields={name: name for name in _COLUMNS},
    released="",
)
_OTHER_NAMES = {
    "question": ("problem", "prompt", "query", "instruction", "column_0"),
    "answer": ("gold", "ground_truth", "reward_model.ground_truth", "target", "final_answer", "column_1"),
}
"""What a file's columns are called where they are neither mapped nor called `question` and `answer`."""
_SYSTEM = "system_message"
"""The key in `metadata` of a prompt's system message."""
_PREFIX = "reasoning_gym"


def load_problems(
    config: DataConfig | str, rejected: Callable[[Reject], None] | None = None, needs_answer: bool = True
) -> list[Problem]:
    """All problems of a source, ids unique, answers clean; a string is a source's name, or a file.

    A row that can't be read, has no question or answer, or an id that came before goes to `rejected`; where that is
    None the first one raises `DataError` with file and row (not for an answer that published copies are known to lack:
    those rows are left out). Raises `DataError` for an unknown source, a missing file or hub, and an empty data set.

    Without `needs_answer` a row that has no answer is a problem whose answer is "".

    A row with options (`data.multiple_choice`) is a question that lists them. Each problem names its grader:
    `config.grader`, else what fits the source.
    """
    if isinstance(config, str):
        config = DataConfig(source="file", path=config) if Path(config).exists() else DataConfig(source=config)
    if config.task is not None:
        return [problem_of(trace, trace.reply) for trace in traces_of_task(config, rejected)]
    name, _, family = config.source.partition(":")
    if name == "arithmetic" and not config.path:
        return _arithmetic(config)
    if name == _PREFIX:
        return _reasoning_gym(config, family)
    benchmark = BENCHMARKS.get(config.source, _FILE)
    problems = _problems(config, benchmark, *_rows(config, benchmark), rejected or stop, needs_answer)
    return drawn(problems, config.limit, config.seed)


def traces_of_task(config: DataConfig, rejected: Callable[[Reject], None] | None = None) -> list[Trace]:
    """The rows of a file or a hub data set as `config.task` declares them. Raises as `load_problems` does."""
    task = load_task(str(config.task))
    if config.path is None and "/" not in config.source and config.source != "clinic_notes":
        raise DataError(
            f"data.task: {task.name} reads the rows of a file; name it in data.path (or a hub id in source)"
        )
    origin, files = _rows(config, _FILE)
    traces = [
        trace for file, rows in files for trace in task_traces(task, rows, Path(file), config.fields, rejected or stop)
    ]
    if not traces:
        raise DataError(f"{origin}: no row fits the task {task.name}")
    if config.grader is not None:
        traces = [replace(trace, grader=config.grader) for trace in traces]
    return drawn(traces, config.limit, config.seed)


def _arithmetic(config: DataConfig) -> list[Problem]:
    params = {"steps_min": 2, "steps_max": 4, **config.params}
    steps = params.pop("steps_min"), params.pop("steps_max")
    if unknown := params.keys() - {"largest", "operations"}:
        raise DataError(
            f"arithmetic: unknown data.params {sorted(unknown)}; known: largest, operations, steps_max, steps_min"
        )
    problems = arithmetic.generate_problems(config.limit or GENERATED, config.seed, steps, **params)
    return [replace(problem, grader=config.grader) for problem in problems] if config.grader else problems


def _reasoning_gym(config: DataConfig, family: str) -> list[Problem]:
    """Generated problems; `metadata["entry"]` is what the family's own `score_answer(answer, entry)` needs."""
    from reasoning_gym.factory import DATASETS, create_dataset

    if family not in DATASETS:
        raise DataError(f"data.source: unknown family {family!r}{nearest(family, DATASETS, f'{_PREFIX}:')}")
    try:
        entries = list(create_dataset(family, size=config.limit or GENERATED, seed=config.seed, **config.params))
    except (TypeError, ValueError, AssertionError) as error:
        raise DataError(f"{config.source}: data.params don't fit: {error}") from None
    return [
        Problem(
            id=f"{family}-{config.seed}-{i}",
            question=entry["question"],
            answer=answers.clean(
                None if entry["answer"] is None else str(entry["answer"])
            ),  # "" for the few families that only a score can judge
            source=config.source,
            metadata={"family": family, "entry": entry},
            grader=config.grader or _PREFIX,
        )
        for i, entry in enumerate(entries)
    ]


def _rows(config: DataConfig, benchmark: Benchmark) -> tuple[str, Iterable[tuple[str, Iterable[Row]]]]:
    """What they are called in messages, and the rows of each file that the path names."""
    if config.path:
        found = dataset_info.find(config.path)
        return str(found.origin), (
            (str(file), rows) for file, rows in found.files(config.split, config.fields.values())
        )
    origin, rows = _rows_by_name(config, benchmark)
    return origin, [(origin, rows)]


def _rows_by_name(config: DataConfig, benchmark: Benchmark) -> tuple[str, Iterable[Row]]:
    split = config.split or benchmark.split
    if config.source == "file":
        raise DataError("data.source: file needs data.path")
    if config.source == "clinic_notes":
        return f"clinic_notes-{config.seed}", itertools.islice(note_rows(config.seed), config.limit or GENERATED)
    copies = os.environ.get("MULL_DATA")
    if copies and benchmark.local and (local := Path(copies, benchmark.local.format(split=split))).is_file():
        return str(local), read_rows(local)
    if benchmark is not _FILE:
        return f"{benchmark.hub[0]} ({split})", hub_rows(*benchmark.hub, split)
    if "/" in config.source:
        return f"{config.source} ({split})", hub_rows(config.source, None, split)
    names = [*BENCHMARKS, "arithmetic", "clinic_notes", "file", _PREFIX]
    raise DataError(f"data.source: unknown source {config.source!r}{nearest(config.source, names)}")


def nearest(name: str, names: Iterable[str], prefix: str = "") -> str:
    """How a message about an unknown name ends: with the nearest known one, or with all."""
    known = sorted(names)
    return "; " + did_you_mean(name, known, f"known: {', '.join(known)}", prefix, cutoff=0.5)


def _problems(
    config: DataConfig,
    benchmark: Benchmark,
    origin: str,
    files: Iterable[tuple[str, Iterable[Row]]],
    rejected: Callable[[Reject], None],
    needs_answer: bool,
) -> list[Problem]:
    if unknown := config.fields.keys() - set(_COLUMNS):
        name = min(unknown)
        raise DataError(f"data.fields.{name}: a problem has no such column{nearest(name, _COLUMNS)}")
    seen: dict[str, int] = {}
    problems: list[Problem] = []
    unanswered: list[int] = []
    first = ""
    for file, row in ((file, row) for file, rows in files for row in rows):
        try:
            problem = _problem(config, benchmark, row, needs_answer)
            if problem.id in seen:
                raise BadRow(f"id {problem.id!r} is already row {seen[problem.id]}'s")
        except BadRow as error:
            first = first or str(error)
            expected = isinstance(error, _Unanswered) and benchmark.unanswered
            unanswered += [row.line] if expected else []
            rejected(reject_of(row, file, str(error), expected))
            continue
        seen[problem.id] = row.line
        problems.append(problem)
    if unanswered:
        log.warning("%s: left out %d rows without an answer: %s", origin, len(unanswered), unanswered)
    if systems := sum(_SYSTEM in problem.metadata for problem in problems):
        log.warning("%s: %d prompts have a system message, which the think format's own replaces", origin, systems)
    warn_of_two_golds(origin, problems)
    if not problems:
        bad = f", every row is bad: {first}" if first else ""
        raise DataError(f"{origin}: no problems in it{bad}; name another file or split")
    return problems


class _Unanswered(BadRow):
    """A question without its answer."""


def _problem(config: DataConfig, benchmark: Benchmark, row: Row, needs_answer: bool) -> Problem:
    """The row's problem. Raises `BadRow`."""
    if row.error:
        raise BadRow(row.error)
    # 1. columns: a benchmark's own, what the recipe maps, and common names where a file has neither
    row = replace(row, fields=benchmark.row(row.fields))
    names = {**benchmark.fields, **config.fields}
    for key in config.fields:
        if not has_column(row.fields, names[key]):
            raise BadRow(f"no column {names[key]!r} for data.fields.{key}; it has {', '.join(row.fields)}")
    if benchmark is _FILE:
        for key, others in _OTHER_NAMES.items():
            if key not in config.fields and not has_column(row.fields, names[key]):
                names[key] = next((name for name in others if has_column(row.fields, name)), names[key])
    # 2. what is asked, and its answer
    question, system = question_in(row, names["question"])
    if names["question"] == "instruction":  # of Alpaca's layout, whose input is what it is about
        question = "\n".join(filter(None, (question, text_at(row.fields, "input"))))
    solution = text_at(row.fields, names.get("solution")) or None
    if config.grader in LITERAL_GRADERS:
        answer = answers.literal(cell(row.fields, names["answer"]))
    else:
        answer = gold_letter(_gold(row, benchmark, names["answer"]), row.fields)
        if not answer and solution:
            answer = last_boxed(solution) or answers.after_hashes(solution) or ""
    if not answer and needs_answer:
        raise _Unanswered(why_unanswered(row, names["answer"]))
    used = {names.get(key) for key in _COLUMNS}
    rest = {key: value for key, value in row.fields.items() if key not in used}
    problem = Problem(
        id=row.id_of(_id(row, names.get("id")), f"{config.source}-{config.split or benchmark.split}"),
        question=question,
        answer=answer,
        source=config.source,
        solution=solution,
        metadata=without_own_letters(rest) | ({_SYSTEM: system} if system else {}),
        grader=config.grader or "math",
    )
    return pose(problem) if _reads_options(config.grader) else problem


def _reads_options(grader: str | None) -> bool:
    """Whether the question lists a row's options: unless the recipe names a shipped grader that knows none."""
    return grader in (None, "choice") or ":" in grader or "." in grader


def _gold(row: Row, benchmark: Benchmark, column: str) -> str:
    """The gold answer, clean; "" for none. Raises `BadRow` for what is no answer."""
    value = cell(row.fields, column)
    return gold_of(value, column) if isinstance(value, list | dict) else benchmark.answer(value)


def _id(row: Row, column: str | None) -> str:
    value = cell(row.fields, column)
    return "" if value is None else str(value)
