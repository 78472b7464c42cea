"""One curation, top to bottom: read → filter, stage by stage → difficulty → select → split → write."""

import hashlib
import json
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import DataError
from configs.run_directory import RunDir, append_jsonl, sha256_of, sha256_of_files, write_json, write_text
from configs.schema.curation import CurateConfig, DifficultyConfig, TraceSourceConfig
from configs.schema.sections import ModelConfig
from curation import filters
from curation.difficulty import Answered, rates, too_easy_or_hard
from curation.filters import Removal, Removals
from curation.table import as_json, column, open_table, table_traces, write_table
from data.balance import part_differences
from data.corpus import of_problem
from data.dataset_info import find
from data.formats import Reject, open_traces, stop
from data.problem import Problem, Trace
from data.residue import NAMES, cleaned_trace, count_residue, residue_lines
from data.sources import load_problems, nearest
from data.think_format import DEEPSEEK, resolve_think_format

if TYPE_CHECKING:
    from datasets import Dataset

STAGES = ("quality", "near_duplicates", "decontaminate")
"""Stages that a resumed run takes over whole; difficulty goes on within, question by question."""


def run_curation(config: CurateConfig, run: RunDir, resume: bool = False) -> None:
    """The whole run; raises `DataError` and `RunError`."""
    from report.curation import write_curation_report

    inputs = [_file(source) for source in config.sources]
    run.start(config, resume)
    for name in ("removed.jsonl", "rejected.jsonl", "not_asked.jsonl", "metrics.jsonl"):
        (run / name).unlink(missing_ok=True)
    scratch = run / "stages"
    scratch.mkdir(exist_ok=True)
    _read(config, run, inputs, scratch / "rows.arrow")
    table = open_table(scratch / "rows.arrow")

    rows = list(range(len(table)))
    ids = table["id"]
    stages: list[dict[str, Any]] = []
    key = sha256_of(scratch / "rows.arrow")
    for name in STAGES:
        if getattr(config, name) is None:
            continue
        key = hashlib.sha256((key + name + config.model_dump_json(include={name})).encode()).hexdigest()
        started = time.perf_counter()
        saved = scratch / f"{name}.json"
        removals = _load(saved, key) if resume else None
        if removals is None:
            removals = _stage(name, table, rows, config)
            write_json(saved, {"key": key, "removed": {row: r.as_json() for row, r in removals.items()}})
        stages.append(_report(run, table, ids, name, rows, removals, time.perf_counter() - started))
        rows = [row for row in rows if row not in removals]
    if config.difficulty:
        started = time.perf_counter()
        removals, not_asked = _difficulty(table, rows, config, run)
        stage = _report(run, table, ids, "difficulty", rows, removals, time.perf_counter() - started)
        stages.append({**stage, "not_asked": not_asked})
        rows = [row for row in rows if row not in removals]
    started = time.perf_counter()
    chosen, domains = filters.selection(table, rows, config)
    left_out = {row: Removal("not selected", {"domain": domains[row]}) for row in set(rows) - set(chosen)}
    stages.append(_report(run, table, ids, "select", rows, left_out, time.perf_counter() - started))
    parts = _split(config, table, chosen)
    outputs = _write(config, run, table, parts, domains)
    manifest = {"seed": config.seed, "inputs": inputs, "stages": stages, "outputs": outputs}
    manifest["domains"] = dict(Counter(domains[row] for row in chosen).most_common())
    manifest["warnings"] = _warnings(table, parts)
    write_json(run / "manifest.json", manifest)
    run.add_summary(rows_in=len(table), rows_out=len(chosen), **{s["name"]: s["removed"] for s in stages})
    shutil.rmtree(scratch)
    print(f"{len(chosen):,} of {len(table):,} rows → {', '.join(outputs)}; report: {write_curation_report(run.path)}")


def _warnings(table: "Dataset", parts: dict[str, list[int]]) -> list[str]:
    """A line, printed too, for each kind of residue in the rows that are kept, and each split that is another."""
    chosen = sorted(row for part in parts.values() for row in part)
    lines = residue_lines(count_residue(table_traces(table, chosen)))
    lines += part_differences({name: table_traces(table, part) for name, part in parts.items()})
    for line in lines:
        print(line)
    return lines


def _file(source: TraceSourceConfig) -> dict[str, Any]:
    """A source's path, how many files it names, their size and hash; raises `DataError` where there is none."""
    files = [] if source.path is None else find(source.path).paths
    if not files:  # problems by name, or a data set on the hub
        return {"path": source.path or source.name, "files": 0, "bytes": None, "sha256": ""}
    if missing := [file for file in files if not file.is_file()]:
        raise DataError(f"sources: {missing[0]}: no such file")
    size = sum(file.stat().st_size for file in files)
    return {"path": source.path, "files": len(files), "bytes": size, "sha256": sha256_of_files(files)}


def _read(config: CurateConfig, run: RunDir, inputs: list[dict[str, Any]], target: Path) -> None:
    """All sources into one table; what can't be read stops the run, or goes to `rejected.jsonl`."""

    def rows() -> Iterator[Trace]:
        seen: Counter[str] = Counter()
        for entry, source, name in zip(inputs, config.sources, filters.source_names(config.sources), strict=True):
            entry |= {"rows": 0, "rejected": 0, "cleaned": Counter()}
            entry["layout"], traces = _open(source, keep(entry))
            others: set[str] = set()
            for trace in traces:
                entry["rows"] += 1
                seen[trace.id] += 1
                others.update(columns := _columns(trace, entry["layout"]))
                domain = {"domain": columns.get(source.domain)} if source.domain else {}
                clean, had = cleaned_trace(trace, config.clean)
                entry["cleaned"].update(had)
                yield _named(clean, domain, name, seen[trace.id])
            if source.domain and entry["rows"] and source.domain not in others:
                raise DataError(
                    f"sources: {name}: no column {source.domain!r} (domain){nearest(source.domain, others)}"
                )

    def keep(entry: dict[str, Any]) -> Callable[[Reject], None]:
        def rejected(reject: Reject) -> None:
            if config.bad_rows == "stop":
                stop(reject)
            append_jsonl(run / "rejected.jsonl", reject.as_json())
            entry["rejected"] += reject.lines

        return rejected

    started = time.perf_counter()
    count = write_table(target, rows())
    bad = sum(entry["rejected"] for entry in inputs)
    print(f"read {count:,} rows, rejected {bad:,} ({time.perf_counter() - started:.1f} s)", flush=True)
    for kind, rows_with in sum((entry["cleaned"] for entry in inputs), Counter[str]()).most_common():
        print(f"cleaned {rows_with:,} rows of {NAMES[kind]}", flush=True)


def _open(source: TraceSourceConfig, rejected: Callable[[Reject], None]) -> tuple[str, Iterable[Trace]]:
    """(layout, traces) of a source."""
    if source.problems is None:
        opened = open_traces(str(source.path), source.mapping, rejected)
        if opened.layout == "text":
            raise DataError(f"{source.path}: texts without questions; curation selects questions with their replies")
        return opened.layout, opened.traces
    return "problems", map(of_problem, load_problems(source.problems, rejected))


def _columns(trace: Trace, layout: str) -> dict[str, Any]:
    """What `domain` may name: the columns that a layout has no use for, and the source of our own traces."""
    return {**trace.metadata, **({"source": trace.source} if layout == "traces" else {})}


def _named(trace: Trace, domain: dict[str, Any], name: str, times_seen: int) -> Trace:
    """The trace with its domain, its source's name in the mix, and an id that no other row has."""
    metadata = {**trace.metadata, **domain}
    identity = trace.id if times_seen == 1 else f"{trace.id}~{times_seen}"
    return replace(trace, id=identity, source=name, metadata=metadata)


def _stage(name: str, table: "Dataset", rows: Sequence[int], config: CurateConfig) -> Removals:
    steps: dict[str, Callable[[], Removals]] = {
        "quality": lambda: filters.quality(table, rows, config.quality, config.workers),
        "near_duplicates": lambda: filters.duplicates(table, rows, config.near_duplicates or 1.0),
        "decontaminate": lambda: (
            filters.contamination(table, rows, config.decontaminate) if config.decontaminate else {}
        ),
    }
    return steps[name]()


def _difficulty(table: "Dataset", rows: Sequence[int], config: CurateConfig, run: RunDir) -> tuple[Removals, int]:
    """(what goes, how often a model was not asked, which `not_asked.jsonl` has)."""
    assert config.difficulty is not None
    rated = rates(table, rows, config.difficulty, config.seed, _answers, run / "pass_rates.jsonl")
    not_asked = [{"model": it.model, "id": it.id, "reason": it.not_asked} for it in rated if it.not_asked]
    if not_asked:
        append_jsonl(run / "not_asked.jsonl", *not_asked)
        print(f"difficulty: {len(not_asked):,} questions not asked; the first: {not_asked[0]}", flush=True)
    return too_easy_or_hard(rated, config.difficulty), len(not_asked)


def _answers(
    model: ModelConfig,
    config: DifficultyConfig,
    problems: Sequence[Problem],
    seeds: Sequence[int],
    answered: Answered,
) -> None:
    """Ask one model, and judge a question's answers as soon as all of them are there."""
    from curation.ask_model import ask_model
    from rewards.grading.grade import grade
    from rewards.grading.graders import check_graders

    check_graders(problems)
    written = resolve_think_format(config.think_format) if config.think_format else None
    texts: dict[int, list[str]] = defaultdict(list)

    def take(place: int, text: str, finish: str) -> None:
        texts[place].append(text)
        if len(texts[place]) == config.samples:
            verdicts = grade([problems[place]] * config.samples, texts.pop(place), written)
            answered(place, [verdict.is_right for verdict in verdicts], "")

    think_format = written or replace(DEEPSEEK, prefill="")
    questions = [problem.question for problem in problems]
    ask_model(
        questions, seeds, model, config, think_format, config.samples, take, lambda place, why: answered(place, (), why)
    )


def _load(saved: Path, key: str) -> Removals | None:
    """A finished stage of an interrupted run, if it was run on the same rows and with the same settings."""
    if not saved.is_file():
        return None
    content = json.loads(saved.read_text("utf-8"))
    if content["key"] != key:
        return None
    return {int(row): Removal(**removal) for row, removal in content["removed"].items()}


def _report(
    run: RunDir,
    table: "Dataset",
    ids: Sequence[str],
    name: str,
    rows: Sequence[int],
    removals: Removals,
    seconds: float,
) -> dict[str, Any]:
    """Write what a stage removed; its line of the manifest."""
    removed = sorted(removals)
    questions = column(table, "question", removed)
    if removed:
        append_jsonl(
            run / "removed.jsonl",
            *(
                {"stage": name, "id": ids[row], "question": question, **removals[row].as_json()}
                for row, question in zip(removed, questions, strict=True)
            ),
        )
    stage = {
        "name": name,
        "in": len(rows),
        "removed": len(removals),
        "reasons": dict(Counter(removal.reason for removal in removals.values()).most_common()),
        "seconds": round(seconds, 3),
    }
    append_jsonl(run / "metrics.jsonl", stage)
    print(f"{name}: {len(rows):,} → {len(rows) - len(removals):,} ({seconds:.1f} s)", flush=True)
    return stage


def _split(config: CurateConfig, table: "Dataset", chosen: Sequence[int]) -> dict[str, list[int]]:
    """The rows of every split."""
    from curation.mixture import split_rows

    if len(config.splits) == 1:
        return {name: list(chosen) for name in config.splits}
    places = split_rows(column(table, "key", chosen), config.splits, config.seed)
    return {name: [chosen[place] for place in part] for name, part in places.items()}


def _write(
    config: CurateConfig, run: RunDir, table: "Dataset", parts: dict[str, list[int]], domains: dict[int, str]
) -> dict[str, dict[str, Any]]:
    """`<split>.jsonl` for every split; what the manifest says of each."""
    outputs = {}
    for name, rows in parts.items():
        lines = [as_json(trace) for trace in table_traces(table, rows)]
        if config.diversity.clusters:
            lines = [
                json.dumps({**json.loads(line), "domain": domains[row]}, ensure_ascii=False)
                for line, row in zip(lines, rows, strict=True)
            ]
        text = "".join(line + "\n" for line in lines)
        write_text(run / f"{name}.jsonl", text)
        outputs[f"{name}.jsonl"] = {"rows": len(rows), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return outputs
