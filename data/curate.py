"""From raw questions and traces to a small, hard, diverse and clean set to train on.

    python -m data.curate --config s1k.yaml [key.path=value …] [--resume] [--dry-run]

The order is s1's (arXiv 2501.19393 §2.2): quality, difficulty, diversity; here duplicates and benchmark questions go
before any model is asked. Departs from it: contamination is n-gram coverage and similarity, not one shared 8-gram.
"""

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.command import quiet_libraries, recipe_parser, run_command
from configs.errors import DataError
from configs.rundir import RunDir, append_jsonl, write_json, write_text
from configs.schema import CurateConfig, TraceSourceConfig
from data import filters
from data.corpus import of_problem
from data.filters import Removal, Removals
from data.formats import Reject, open_traces
from data.problem import Trace
from data.sources import load_problems
from data.table import column

STAGES = ("quality", "near_duplicates", "decontaminate", "difficulty")


def main(argv: list[str]) -> None:
    """Read → filter, stage by stage → select → split → write."""
    args = recipe_parser(
        "data.curate",
        "curate",
        "Curate a training set.",
        resume="go on after the last finished stage",
        dry_run="print the resolved config, curate nothing",
    ).parse_intermixed_args(argv)

    from configs.recipe import load

    config: CurateConfig = load("curate", args.config, args.overrides)
    run = RunDir(config.output_dir)
    run.check(args.resume)
    if args.dry_run:
        print(config.model_dump_json(indent=2))
        return
    quiet_libraries()
    curate(config, run, args.resume)


def curate(config: CurateConfig, run: RunDir, resume: bool = False) -> None:
    """The whole run; raises `DataError` and `RunError`."""
    from data.table import open_table
    from report.curation import write_report

    inputs = [_file(source) for source in config.sources]
    run.start(config, resume)
    for name in ("removed.jsonl", "rejected.jsonl", "metrics.jsonl"):
        (run / name).unlink(missing_ok=True)
    scratch = run / "stages"
    scratch.mkdir(exist_ok=True)
    _read(config, run, inputs, scratch / "rows.arrow")
    table = open_table(scratch / "rows.arrow")

    rows = list(range(len(table)))
    ids = table["id"]
    stages: list[dict[str, Any]] = []
    key = json.dumps(inputs) + config.model_dump_json(include={"sources", "bad_rows"})
    for name in STAGES:
        if getattr(config, name) is None:
            continue
        key = hashlib.sha256((key + name + config.model_dump_json(include={name})).encode()).hexdigest()
        started = time.perf_counter()
        saved = scratch / f"{name}.json"
        removals = _load(saved, key) if resume else None
        if removals is None:
            removals = _stage(name, table, rows, config, scratch / f"{name}-{key[:12]}.jsonl")
            write_json(saved, {"key": key, "removed": {row: r.as_json() for row, r in removals.items()}})
        stages.append(_report(run, table, ids, name, rows, removals, time.perf_counter() - started))
        rows = [row for row in rows if row not in removals]
    started = time.perf_counter()
    chosen, domains = filters.selection(table, rows, config)
    left_out = {row: Removal("not selected", {"domain": domains[row]}) for row in set(rows) - set(chosen)}
    stages.append(_report(run, table, ids, "select", rows, left_out, time.perf_counter() - started))
    outputs = _write(config, run, table, chosen, domains)
    manifest = {"seed": config.seed, "inputs": inputs, "stages": stages, "outputs": outputs}
    manifest["domains"] = dict(Counter(domains[row] for row in chosen).most_common())
    write_json(run / "manifest.json", manifest)
    run.add_summary(rows_in=len(table), rows_out=len(chosen), **{s["name"]: s["removed"] for s in stages})
    shutil.rmtree(scratch)
    print(f"{len(chosen):,} of {len(table):,} rows → {', '.join(outputs)}; report: {write_report(run.path)}")


def _file(source: TraceSourceConfig) -> dict[str, Any]:
    """A source's path, size and hash; raises `DataError` where there is no such file."""
    if source.path is None:
        return {"path": source.name, "bytes": None, "sha256": ""}
    file = Path(source.path.partition("#")[0])
    if not file.is_file():
        raise DataError(f"sources: {file}: no such file")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"path": source.path, "bytes": file.stat().st_size, "sha256": digest}


def _read(config: CurateConfig, run: RunDir, inputs: list[dict[str, Any]], target: Path) -> None:
    """All sources into one table; what can't be read stops the run, or goes to `rejected.jsonl`."""
    from data.table import write_table

    def rows() -> Iterator[Trace]:
        seen: Counter[str] = Counter()
        for entry, source in zip(inputs, config.sources, strict=True):
            entry |= {"rows": 0, "rejected": 0}
            entry["layout"], traces = _open(source, keep(entry) if config.bad_rows == "skip" else None)
            for trace in traces:
                entry["rows"] += 1
                seen[trace.id] += 1
                yield _named(trace, source, seen[trace.id])

    def keep(entry: dict[str, Any]) -> Callable[[Reject], None]:
        def rejected(reject: Reject) -> None:
            append_jsonl(run / "rejected.jsonl", _reject(reject))
            entry["rejected"] += 1

        return rejected

    started = time.perf_counter()
    count = write_table(target, rows())
    bad = sum(entry["rejected"] for entry in inputs)
    print(f"read {count:,} rows, rejected {bad:,} ({time.perf_counter() - started:.1f} s)", flush=True)


def _open(source: TraceSourceConfig, rejected: Callable[[Reject], None] | None) -> tuple[str, Iterable[Trace]]:
    """(layout, traces) of a source."""
    if source.problems is None:
        opened = open_traces(str(source.path), source.mapping, rejected)
        return opened.layout, opened.traces
    return "problems", map(of_problem, load_problems(source.problems))


def _named(trace: Trace, source: TraceSourceConfig, times_seen: int) -> Trace:
    """The trace with its domain, its source's name in the mix, and an id that no other row has."""
    metadata = {**trace.metadata, **({"domain": trace.metadata.get(source.domain)} if source.domain else {})}
    identity = trace.id if times_seen == 1 else f"{trace.id}~{times_seen}"
    return replace(trace, id=identity, source=source.name, metadata=metadata)


def _reject(reject: Reject) -> dict[str, Any]:
    fields = json.loads(json.dumps(dict(reject.fields), default=str))
    return {"file": reject.file, "line": reject.line, "reason": reject.reason, "fields": fields}


def _stage(name: str, table: Any, rows: Sequence[int], config: CurateConfig, partial: Path) -> Removals:
    from data.difficulty import difficulty

    steps: dict[str, Callable[[], Removals]] = {
        "quality": lambda: filters.quality(table, rows, config.quality, config.workers),
        "near_duplicates": lambda: filters.duplicates(table, rows, config.near_duplicates or 1.0),
        "decontaminate": lambda: (
            filters.contamination(table, rows, config.decontaminate) if config.decontaminate else {}
        ),
        "difficulty": lambda: (
            difficulty(table, rows, config.difficulty, _answers, partial) if config.difficulty else {}
        ),
    }
    return steps[name]()


def _answers(grader: Any, config: Any, questions: Sequence[str], golds: Sequence[str]) -> Iterator[list[bool | None]]:
    """Per question, which of a model's answers are right; the engine is loaded once."""
    from data.think import DEEPSEEK, resolve
    from models.engine import Request, load_engine
    from rewards.verify import judge_texts

    written = resolve(config.think_format) if config.think_format else None
    think_format = written or replace(DEEPSEEK, prefill="")
    engine = load_engine(config.engine, grader, think_format)
    try:
        for begin in range(0, len(questions), config.engine.batch_size):
            part = questions[begin : begin + config.engine.batch_size]
            requests = [
                Request(
                    [{"role": "user", "content": f"{question}\n\n{config.instruction}".strip()}],
                    sampling=config.sampling,
                    max_tokens=config.max_tokens,
                    seed=begin + i,
                    n=config.samples,
                )
                for i, question in enumerate(part)
            ]
            generations = engine.generate(requests)
            texts = [f"{think_format.prefill}{generation.text}" for generation in generations]
            verdicts = judge_texts([golds[begin + g.request] for g in generations], texts, written)
            right: list[list[bool | None]] = [[] for _ in part]
            for generation, verdict in zip(generations, verdicts, strict=True):
                right[generation.request].append(verdict.correct)
            yield from right
    finally:
        engine.close()


def _load(saved: Path, key: str) -> Removals | None:
    """A finished stage of an interrupted run, if it was run on the same rows and with the same settings."""
    if not saved.is_file():
        return None
    content = json.loads(saved.read_text("utf-8"))
    if content["key"] != key:
        return None
    return {int(row): Removal(**removal) for row, removal in content["removed"].items()}


def _report(
    run: RunDir, table: Any, ids: Sequence[str], name: str, rows: Sequence[int], removals: Removals, seconds: float
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


def _write(
    config: CurateConfig, run: RunDir, table: Any, chosen: Sequence[int], domains: dict[int, str]
) -> dict[str, dict[str, Any]]:
    """`<split>.jsonl` for every split; what the manifest says of each."""
    from data.mix import split
    from data.table import as_json, traces

    parts = {name: list(range(len(chosen))) for name in config.splits}
    if len(config.splits) > 1:
        parts = split(column(table, "question", chosen), config.splits, config.seed)
    outputs = {}
    for name, places in parts.items():
        rows = [chosen[place] for place in places]
        lines = [as_json(trace) for trace in traces(table, rows)]
        if config.diversity.clusters:
            lines = [
                json.dumps({**json.loads(line), "domain": domains[row]}, ensure_ascii=False)
                for line, row in zip(lines, rows, strict=True)
            ]
        text = "".join(line + "\n" for line in lines)
        write_text(run / f"{name}.jsonl", text)
        outputs[f"{name}.jsonl"] = {"rows": len(rows), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return outputs


if __name__ == "__main__":
    run_command(main)
