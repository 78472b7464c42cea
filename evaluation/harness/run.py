"""One evaluation by the harness's tasks, top to bottom: tasks → engine → one task after the other → results, report.

`tasks.jsonl` has a record a finished task (`evaluation.harness.figures`), which `--resume` keeps, and
`lm_eval/samples_<task>.jsonl` its documents as `lm_eval --log_samples` writes them, with the question, the
options, the right one, and what was written beside the answer.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import RunError
from configs.progress import Progress
from configs.run_directory import RunDir, append_jsonl, keep_jsonl, read_jsonl, write_json, write_jsonl
from configs.schema.harness import HarnessEvalConfig
from configs.schema.sections import EngineConfig
from data.row import finite
from data.think_format import resolve_think_format
from evaluation.harness.console import describe, show_results
from evaluation.harness.figures import Row, group_points, samples_of, task_points
from evaluation.harness.tasks import GENERATED, HarnessTasks, asks_loglikelihoods, check_askable, load_tasks
from evaluation.lm_eval_format import file_name
from evaluation.plan import adapter_hash
from report.harness import write_harness_report

if TYPE_CHECKING:
    from models.engines.base import Engine

RECORDS = "tasks.jsonl"
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
WORTH_SAYING = 0.02  # the share of cut prompts or answers from which the report warns
STDERR_DRAWS = 1_000
"""Of the harness's own bootstrap, for the few metrics whose standard error has no formula."""


def run_harness(config: HarnessEvalConfig, run: RunDir, *, dry_run: bool = False) -> dict[str, Any] | None:
    """Ask the recipe's tasks, or print the plan. Returns what `results.json` holds. Raises `MullError`s."""
    from models.engines.select import choose_engine, load_engine

    # 1. the tasks, and whether the engine can be asked them
    think_format = resolve_think_format(config.think_format)
    tasks = load_tasks(config.harness)
    section = _engine(config.engine, tasks)
    name = "data_parallel" if section.data_parallel > 1 else choose_engine(section, config.model)
    check_askable(tasks, think_format, name)
    if dry_run:
        print(describe(config, tasks))
        return None

    # 2. what earlier sessions have, and what is missing
    engine = load_engine(section, config.model, think_format)
    keys = {name: key_of(config, task, engine) for name, task in tasks.tasks.items()}
    kept = kept_records(run, keys)
    with run.removed_if_unused():
        run.start(config, resume=(run / "config.yaml").is_file(), think_format=asdict(think_format))
        (run / "lm_eval").mkdir(exist_ok=True)
        for name, task in tasks.tasks.items():
            if name not in kept:
                kept[name] = ask(config, run, engine, task, keys[name])
    engine.close()

    # 3. results, report
    with writing():
        results = finish(config, run, tasks, [kept[name] for name in tasks.tasks])
        name = config.model.adapter or config.model.name
        write_harness_report(run.path, f"Evaluation · {', '.join(config.harness.tasks)} · {name}")
    show_results(results, run)
    return results


def _engine(section: EngineConfig, tasks: HarnessTasks) -> EngineConfig:
    """`auto` is Transformers where log-likelihoods are asked for, which need the model itself."""
    if section.name != "auto" or not asks_loglikelihoods(tasks):
        return section
    return section.model_copy(update={"name": "transformers"})


@contextmanager
def writing() -> Iterator[None]:
    """A file that can't be written inside is the user's to mend: `RunError`."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{error.filename}: can't be written: {error.strerror}; go on with --resume") from error


def documents_of(task: Any, limit: int | None) -> list[Any]:
    """The task's documents that are asked."""
    return [doc for _, doc in task.doc_iterator(rank=0, limit=limit, world_size=1)]


def key_of(config: HarnessEvalConfig, task: Any, engine: "Engine") -> str:
    """A digest of all that decides what a task finds: model, prompts, documents, budget, seed, the harness itself."""
    parts = [
        config.model.model_dump(exclude={"gpu_memory_utilization", "adapter"}),
        adapter_hash(config.model.adapter),
        engine.name,
        asdict(engine.think_format),
        config.harness.model_dump(exclude={"tasks", "include_path"}),
        config.budget.model_dump(),
        config.seed,
        task.dump_config(),
        documents_of(task, config.harness.limit),
        version("lm-eval"),
    ]
    text = json.dumps(parts, sort_keys=True, default=str)
    return sha256(ADDRESS.sub("", text).encode()).hexdigest()[:16]


def kept_records(run: RunDir, keys: Mapping[str, str]) -> dict[str, Row]:
    """The records of tasks that are finished, by name. Raises `RunError` where one was asked of something else."""
    keep_jsonl(run / RECORDS, lambda row: True)  # a line that a kill cut off leaves the file
    kept: dict[str, Row] = {row["task"]: row for row in read_jsonl(run / RECORDS) if row["task"] in keys}
    if changed := [name for name, record in kept.items() if record["key"] != keys[name]]:
        raise RunError(
            f"--resume: {run / RECORDS}: {len(changed)} tasks, the first {changed[0]}, were asked with another model, "
            "adapter, prompt, budget or seed, or of other documents; name another output_dir"
        )
    return kept


def samples_file(run: RunDir, task: str) -> Path:
    """The documents of a task in the harness's format."""
    return run / "lm_eval" / f"samples_{file_name(task)}.jsonl"


def ask(config: HarnessEvalConfig, run: RunDir, engine: "Engine", task: Any, key: str) -> Row:
    """Ask one task, write its documents, then its record; the record."""
    from lm_eval.evaluator import evaluate

    from evaluation.harness.model import EngineLM

    os.environ.setdefault("DISABLE_MULTIPROC", "1")  # the harness would fork a process that holds a model
    name = task.task_name
    started = time.perf_counter()
    with Progress(name, len(documents_of(task, config.harness.limit))) as progress:
        lm = EngineLM(engine, config, task, lambda done, total: progress.update(done * progress.total // total))
        found = evaluate(
            lm,
            {"tasks": {name: task}},
            limit=config.harness.limit,
            bootstrap_iters=STDERR_DRAWS,
            apply_chat_template=config.harness.apply_chat_template,
            fewshot_as_multiturn=config.harness.fewshot_as_multiturn,
        )
    rows = [_row(row, task, lm) for row in found["samples"][name]]
    record = {
        "task": name,
        "key": key,
        "output_type": task.OUTPUT_TYPE,
        "shots": found["n-shot"].get(name, 0),
        "version": found["versions"].get(name),
        "documents": found["n-samples"][name]["effective"],
        "results": found["results"][name],
        "truncated": lm.truncated,
        "cut": sum(one.finish == "length" for one in lm.generations.values()),
        "tokens": sum(len(one.token_ids) for one in lm.generations.values()),
        "seconds": round(time.perf_counter() - started, 3),
    }
    with writing():
        write_jsonl(samples_file(run, name), map(_as_json, rows))
        append_jsonl(run / RECORDS, _as_json(record))
    return _as_json(record)


def _as_json(row: Row) -> dict[str, Any]:
    """What a file holds of it: JSON has no NumPy, no NaN and no infinity."""
    from lm_eval.utils import handle_non_serializable

    return dict(finite(json.loads(json.dumps(row, default=handle_non_serializable))))


def _row(row: Row, task: Any, lm: Any) -> dict[str, Any]:
    """A document as `lm_eval --log_samples` writes it, and what of ours stands beside it."""
    from lm_eval.utils import sanitize_list

    question = task.doc_to_text(row["doc"])
    options = options_of(task, [one[:2] for one in row["arguments"]])
    target = question if getattr(task, "multiple_input", False) else row["target"]  # there the place of the right one
    written = lm.generations[row["doc_id"], 0] if task.OUTPUT_TYPE == GENERATED else None
    return {
        **row,
        "arguments": {
            f"gen_args_{at}": {f"arg_{place}": value for place, value in enumerate(one)}
            for at, one in enumerate(row["arguments"])
        },
        "target": str(row["target"]),
        "resps": sanitize_list(row["resps"]),
        "filtered_resps": sanitize_list(row["filtered_resps"]),
        "question": question if isinstance(question, str) else str(row["arguments"][0][0]),
        "options": options,
        "gold": options[target] if isinstance(target, int) and 0 <= target < len(options) else str(row["target"]),
        "generation": written
        and {
            "thinking": written.thinking,
            "thinking_tokens": written.thinking_tokens,
            "completion_tokens": len(written.token_ids),
            "finish": written.finish,
        },
    }


def options_of(task: Any, arguments: Sequence[Sequence[Any]]) -> list[str]:
    """What a multiple-choice task chooses from, out of (context, continuation) pairs; empty for other tasks."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return []
    continuations = [str(continuation).strip() for _, continuation in arguments]
    if len({*continuations}) > 1:
        return continuations
    return [str(context).splitlines()[-1].strip() for context, _ in arguments]  # it is the contexts that differ


def finish(config: HarnessEvalConfig, run: RunDir, tasks: HarnessTasks, records: Sequence[Row]) -> dict[str, Any]:
    """Write `results.json`, `samples.jsonl`, `prompts.jsonl` and `summary.json`; return the results."""
    rows = {record["task"]: list(read_jsonl(samples_file(run, record["task"]))) for record in records}
    points = _points(config, tasks, records, rows)
    digest = sha256(repr([row["doc_hash"] for its in rows.values() for row in its]).encode()).hexdigest()[:16]
    results = {
        "benchmark": {
            "source": f"lm-eval {version('lm-eval')}",
            "tasks": config.harness.tasks,
            "problems": sum(record["documents"] for record in records),
            "hash": digest,
        },
        "model": {"name": config.model.name, "adapter": adapter_hash(config.model.adapter)},
        "think_format": resolve_think_format(config.think_format).name,
        "harness": config.harness.model_dump(exclude={"include_path"}),
        "seed": config.seed,
        "points": points,
    }
    write_json(run / "results.json", results)
    prompts = {row["prompt_hash"]: row["arguments"]["gen_args_0"]["arg_0"] for its in rows.values() for row in its}
    write_jsonl(run / "prompts.jsonl", [{"hash": key, "prompt": prompt} for key, prompt in prompts.items()])
    samples = [
        sample.to_row()
        for record in records
        for sample in samples_of(record, rows[record["task"]], tasks.asked_as[record["task"]])
    ]
    write_jsonl(run / "samples.jsonl", samples)
    run.add_summary(
        figures={point["label"]: point["value"] for point in points},
        warnings=warnings(records),
        seconds=round(sum(record["seconds"] for record in records), 1),
        tokens=sum(record["tokens"] for record in records),
    )
    return results


def _points(
    config: HarnessEvalConfig, tasks: HarnessTasks, records: Sequence[Row], rows: Mapping[str, Sequence[Row]]
) -> list[dict[str, Any]]:
    """Groups first, from the outermost on, then tasks, each marked by whether the recipe asked it by this name."""
    results = {record["task"]: _told(record["results"]) for record in records}
    points = []
    for name, group in tasks.groups.items():
        members = [rows[task.task_name] for task in group.get_all_tasks()]
        weighted = {one.metric: one.weight_by_size for one in group.aggregate_metric_list or ()}
        better: dict[str, bool] = {}
        for task in group.get_all_tasks():
            better |= task.higher_is_better()
        points += group_points(name, group.aggregate(results), members, weighted, better, config.seed)
    for record in records:
        task = tasks.tasks[record["task"]]
        points += task_points(record, rows[record["task"]], task.aggregation(), task.higher_is_better(), config.seed)
    asked = {*tasks.groups, *(name for name, asked in tasks.asked_as.items() if asked not in tasks.groups)}
    return [{**point, "is_summary": point["task"] in asked} for point in points]


def _told(results: Row) -> dict[str, Any]:
    """Without the figures that are none: a group is made of the others."""
    return {key: value for key, value in results.items() if value is not None}


def warnings(records: Sequence[Row]) -> list[str]:
    """What a reader of the figures must know: prompts and answers that were cut."""
    messages = []
    for record in records:
        if record["truncated"]:
            messages.append(
                f"{record['task']}: {record['truncated']} prompts had no room in the context and lost their beginning; "
                "raise model.max_length or lower harness.num_fewshot"
            )
        if record["cut"] > WORTH_SAYING * record["documents"]:
            messages.append(
                f"{record['task']}: {record['cut']} of {record['documents']} answers were cut at the task's most tokens"
            )
    return messages
