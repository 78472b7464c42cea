"""The steps of curation on the CPU: each takes a table and the rows still in, and says which go, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from configs.schema import CurateConfig, DecontaminateConfig, DiversityConfig, QualityConfig
from data.decontaminate import matches
from data.duplicates import near_duplicates
from data.mix import counts
from data.problem import Problem
from data.quality import fault
from data.select import clusters, select, shape
from data.sources import load_problems
from data.table import column, traces


@dataclass(frozen=True, slots=True)
class Removal:
    """Why a row went: a reason to count by, and what it was compared with."""

    reason: str
    match: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value}


Removals = dict[int, Removal]
"""Row → why it goes."""


def quality(table: Any, rows: Sequence[int], config: QualityConfig, workers: int) -> Removals:
    """Rows with a fault, found on `datasets`' workers."""
    few = len(rows) < 5000  # starting workers costs more than it brings
    faults = table.map(
        _faults,
        with_indices=True,
        batched=True,
        fn_kwargs={"config": config.model_dump()},
        remove_columns=table.column_names,
        num_proc=None if few else workers,
    )
    found = dict(zip(faults["row"], faults["fault"], strict=True))
    return {row: Removal(found[row]) for row in rows if found[row]}


def _faults(batch: dict[str, list[Any]], indices: list[int], config: dict[str, Any]) -> dict[str, list[Any]]:
    checks = QualityConfig(**config)
    parts = zip(batch["id"], batch["question"], batch["thinking"], batch["reply"], batch["answer"], strict=True)
    found = [fault(_as_trace(*part), checks) for part in parts]
    return {"row": indices, "fault": [reason or "" for reason in found]}


def _as_trace(identity: str, question: str, thinking: str, reply: str, answer: str | None) -> Any:
    from data.problem import Trace

    return Trace(id=identity, question=question, thinking=thinking, reply=reply, source="", answer=answer)


def duplicates(table: Any, rows: Sequence[int], words: float) -> Removals:
    """Rows whose question an earlier row has."""
    questions = column(table, "question", rows)
    ids = column(table, "id", rows)
    return {
        rows[i]: Removal("near-duplicate", {"of": ids[first], "question": questions[first]})
        for i, first in near_duplicates(questions, words).items()
    }


def contamination(table: Any, rows: Sequence[int], config: DecontaminateConfig) -> Removals:
    """Rows that repeat a benchmark's question, with that question."""
    benchmarks: dict[str, list[Problem]] = {}
    for source in config.benchmarks:
        benchmarks[f"{source.source}{f' {source.split}' if source.split else ''}"] = load_problems(source)
    questions, answers = column(table, "question", rows), column(table, "answer", rows)
    items = [{"question": q, "answer": a or ""} for q, a in zip(questions, answers, strict=True)]
    return {
        rows[match.row]: Removal(
            f"contaminated by {match.benchmark}",
            {
                "id": benchmarks[match.benchmark][match.item].id,
                "question": benchmarks[match.benchmark][match.item].question,
                "rule": match.rule,
                "score": round(match.score, 3),
            },
        )
        for match in matches(items, benchmarks, config.n)
    }


def selection(table: Any, rows: Sequence[int], config: CurateConfig) -> tuple[list[int], dict[int, str]]:
    """(rows that stay, domain of each row): the mix of sources, and from each source a diverse part of its rows."""
    names = column(table, "source", rows)
    domains, quota = _domains(table, rows, config.diversity, config.seed)
    caps = {source.name: source.cap for source in config.sources if source.cap}
    available = {name: min(names.count(name), caps.get(name, len(names))) for name in dict.fromkeys(names)}
    shares = {source.name: source.share for source in config.sources if source.share}
    chosen: list[int] = []
    for name, size in counts(available, shares, config.n if shares else None).items():
        part = [row for row, source in zip(rows, names, strict=True) if source == name]
        chosen += part if size == len(part) else _select(table, part, domains, size, config.seed, quota)
    if config.n is not None and not shares:
        chosen = _select(table, sorted(chosen), domains, config.n, config.seed, quota)
    return sorted(chosen), domains


def _select(
    table: Any, rows: Sequence[int], domains: Mapping[int, str], n: int, seed: int, quota: Mapping[str, float] | None
) -> list[int]:
    lengths = [len(trace.thinking or trace.reply) for trace in traces(table, rows)]
    items = [{"domain": domains[row], "length": length} for row, length in zip(rows, lengths, strict=True)]
    return [rows[i] for i in select(items, n, seed, quota)]


def _domains(
    table: Any, rows: Sequence[int], config: DiversityConfig, seed: int
) -> tuple[dict[int, str], dict[str, float] | None]:
    """(each row's domain, the quota)."""
    if config.clusters is None:
        found = [domain or "" for domain in column(table, "domain", rows)]
        return dict(zip(rows, found, strict=True)), dict(config.quota) or None
    benchmark = [problem.question for problem in load_problems(config.shape)] if config.shape else []
    found, theirs = clusters(column(table, "question", rows), config.clusters, seed, benchmark)
    return dict(zip(rows, found, strict=True)), shape(theirs) if theirs else dict(config.quota) or None
