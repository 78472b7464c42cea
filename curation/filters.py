"""The steps of curation on the CPU: each takes a table and the rows still in, and says which go, and why."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from configs.schema.curation import CurateConfig, DecontaminateConfig, DiversityConfig, QualityConfig, TraceSourceConfig
from curation.decontaminate import matches
from curation.mixture import counts
from curation.quality import quality_fault
from curation.selection import clusters, select, shape
from curation.table import column, table_traces
from data.problem import Trace
from data.similarity.near_duplicates import near_duplicates
from data.sources import load_problems

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, slots=True)
class Removal:
    """Why a row went: a reason to count by, and what it was compared with."""

    reason: str
    match: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value}


Removals = dict[int, Removal]
"""Row → why it goes."""


def quality(table: "Dataset", rows: Sequence[int], config: QualityConfig, workers: int) -> Removals:
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
    fault_of_row = dict(zip(faults["row"], faults["fault"], strict=True))
    return {row: Removal(fault_of_row[row]) for row in rows if fault_of_row[row]}


def _faults(batch: dict[str, list[Any]], indices: list[int], config: dict[str, Any]) -> dict[str, list[Any]]:
    checks = QualityConfig(**config)
    parts = zip(batch["id"], batch["question"], batch["thinking"], batch["reply"], batch["answer"], strict=True)
    reasons = [quality_fault(_as_trace(*part), checks) for part in parts]
    return {"row": indices, "fault": [reason or "" for reason in reasons]}


def _as_trace(identity: str, question: str, thinking: str, reply: str, answer: str | None) -> Trace:
    return Trace(id=identity, question=question, thinking=thinking, reply=reply, source="", answer=answer)


def duplicates(table: "Dataset", rows: Sequence[int], words: float) -> Removals:
    """Rows whose question an earlier row has; a task's is its key, without the instruction that all rows share."""
    questions = column(table, "key", rows)
    ids = column(table, "id", rows)
    return {
        rows[i]: Removal("near-duplicate", {"of": ids[first], "question": questions[first]})
        for i, first in near_duplicates(questions, words).items()
    }


def contamination(table: "Dataset", rows: Sequence[int], config: DecontaminateConfig) -> Removals:
    """Rows that repeat a benchmark's question, with that question."""
    labels = distinct([" ".join(filter(None, (it.path or it.source, it.split))) for it in config.benchmarks])
    benchmarks = {label: load_problems(source) for label, source in zip(labels, config.benchmarks, strict=True)}
    questions, answers = column(table, "key", rows), column(table, "answer", rows)
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


def source_names(sources: Sequence[TraceSourceConfig]) -> list[str]:
    """What the rows of each source are called: its `name`; or its path, where another source has the same name."""
    short = [source.name for source in sources]
    return distinct(
        [source.path if source.path and short.count(source.name) > 1 else source.name for source in sources]
    )


def distinct(names: Sequence[str]) -> list[str]:
    """The names, one that comes again numbered: a, b, a~2."""
    numbered: dict[str, None] = {}
    for name in names:
        again = (f"{name}~{times}" for times in itertools.count(2))
        numbered[next(it for it in itertools.chain([name], again) if it not in numbered)] = None
    return list(numbered)


def selection(table: "Dataset", rows: Sequence[int], config: CurateConfig) -> tuple[list[int], dict[int, str]]:
    """(rows that stay, domain of each row): the mix of sources, and from each source a diverse part of its rows."""
    names, sources = column(table, "source", rows), source_names(config.sources)
    domains, quota = _domains(table, rows, config.diversity, config.seed)
    caps = {name: source.cap for name, source in zip(sources, config.sources, strict=True) if source.cap}
    available = {name: min(names.count(name), caps.get(name, len(names))) for name in dict.fromkeys(names)}
    shares = {name: source.share for name, source in zip(sources, config.sources, strict=True) if source.share}
    chosen: list[int] = []
    for name, size in counts(available, shares, config.n if shares else None).items():
        part = [row for row, source in zip(rows, names, strict=True) if source == name]
        chosen += part if size == len(part) else _select(table, part, domains, size, config.seed, quota)
    if config.n is not None and not shares:
        chosen = _select(table, sorted(chosen), domains, config.n, config.seed, quota)
    return sorted(chosen), domains


def _select(
    table: "Dataset",
    rows: Sequence[int],
    domains: Mapping[int, str],
    n: int,
    seed: int,
    quota: Mapping[str, float] | None,
) -> list[int]:
    lengths = [len(trace.thinking or trace.reply) for trace in table_traces(table, rows)]
    items = [{"domain": domains[row], "length": length} for row, length in zip(rows, lengths, strict=True)]
    return [rows[i] for i in select(items, n, seed, quota)]


def _domains(
    table: "Dataset", rows: Sequence[int], config: DiversityConfig, seed: int
) -> tuple[dict[int, str], dict[str, float] | None]:
    """(each row's domain, the quota)."""
    if config.clusters is None:
        row_domains = [domain or "" for domain in column(table, "domain", rows)]
        return dict(zip(rows, row_domains, strict=True)), dict(config.quota) or None
    benchmark = [problem.question for problem in load_problems(config.shape)] if config.shape else []
    row_domains, theirs = clusters(column(table, "key", rows), config.clusters, seed, benchmark)
    return dict(zip(rows, row_domains, strict=True)), shape(theirs) if theirs else dict(config.quota) or None
