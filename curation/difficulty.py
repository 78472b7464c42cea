"""How hard a question is: the share of answers that some models get right."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.run_directory import append_jsonl, keep_jsonl, read_jsonl
from configs.schema.curation import DifficultyConfig
from configs.schema.sections import ModelConfig
from curation.ask_model import seed_of
from curation.filters import Removal, Removals
from curation.table import table_traces
from data.problem import Problem, problem_of

if TYPE_CHECKING:
    from datasets import Dataset

Answered = Callable[[int, Sequence[bool | None], str], None]
"""(place of a question, which of its answers are right (None: could not be judged), why it was not asked or "")."""
Answers = Callable[[ModelConfig, DifficultyConfig, Sequence[Problem], Sequence[int], Answered], None]
"""(model, config, problems, seeds, answered)."""


@dataclass(frozen=True, slots=True)
class Rated:
    """What one model made of a row: its pass rate, None if nobody could judge it; or why it was not asked."""

    row: int
    id: str
    model: str
    rate: float | None
    not_asked: str


def rates(
    table: "Dataset", rows: Sequence[int], config: DifficultyConfig, seed: int, answers: Answers, path: Path
) -> list[Rated]:
    """Every row that has a gold answer × every model.

    `path` keeps a line for each question that a model was asked, under all that its answers depend on; what is there
    is not asked again, whatever else of the run is new.
    """
    keep_jsonl(path, lambda line: True)
    known = {line["key"]: line for line in read_jsonl(path)}
    row_traces = zip(rows, table_traces(table, rows), strict=True)
    graded = [(row, problem_of(trace, trace.answer)) for row, trace in row_traces if trace.answer]
    rated = []
    for model in config.models:
        name = f"{model.name}+{model.adapter}" if model.adapter else model.name
        keys = [_key(model, config, seed, problem) for _, problem in graded]
        open_ = {key: problem for key, (_, problem) in zip(keys, graded, strict=True) if key not in known}
        blank = [{"key": key, "model": name, "id": problem.id} for key, problem in open_.items()]

        def answered(place: int, right: Sequence[bool | None], why: str, blank: Any = blank) -> None:
            line = {**blank[place], "rate": pass_rate(right), "not_asked": why}
            append_jsonl(path, line)
            known[line["key"]] = line

        if open_:
            seeds = [seed_of(seed, problem.question) for problem in open_.values()]
            answers(model, config, list(open_.values()), seeds, answered)
        rated += [
            Rated(row, problem.id, name, known[key]["rate"], known[key]["not_asked"])
            for (row, problem), key in zip(graded, keys, strict=True)
        ]
    return rated


def too_easy_or_hard(rated: Sequence[Rated], config: DifficultyConfig) -> Removals:
    """Rows that the best of the models solves too often, or too seldom; a row that nobody could judge stays."""
    best: dict[int, float] = {}
    for it in rated:
        if it.rate is not None:
            best[it.row] = max(best.get(it.row, 0.0), it.rate)
    return {
        row: Removal(reason, {"pass_rate": rate}) for row, rate in best.items() if (reason := _verdict(rate, config))
    }


def pass_rate(right: Sequence[bool | None]) -> float | None:
    """The share of right answers among those that could be judged; None if none could."""
    judged = [verdict for verdict in right if verdict is not None]
    return sum(judged) / len(judged) if judged else None


def _verdict(rate: float, config: DifficultyConfig) -> str:
    if rate > config.max_pass_rate:
        return "too easy"
    return "too hard" if rate < config.min_pass_rate else ""


def _key(model: ModelConfig, config: DifficultyConfig, seed: int, problem: Problem) -> str:
    """Of all that a model's answers to a question, and their verdicts, depend on."""
    who = model.model_dump_json(include={"name", "adapter", "precision", "max_length"})
    how = config.model_dump_json(include={"think_format", "instruction", "sampling", "samples", "max_tokens"})
    question = (problem.question, *problem.golds, problem.grader)
    return hashlib.sha256("\0".join((who, how, str(seed), *question)).encode()).hexdigest()[:32]
