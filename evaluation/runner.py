"""An evaluation: problems × budgets × samples → `samples.jsonl` (as they come) → `results.json`, curve and report.

A resumed run keeps the rows whose key (`evaluation.plan`) is still asked for and makes the others, so budgets,
samples and problems can also be added to a finished run.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import RunError
from configs.run_directory import RunDir, append_jsonl, keep_jsonl, read_jsonl, write_json, write_text
from configs.schema.evaluation import EvalConfig
from data.problem import Problem
from data.sources import load_problems
from data.think_format import resolve_think_format
from evaluation.length_prompts import rejection_sample
from evaluation.lm_eval_format import lm_eval_rows
from evaluation.plan import Task, adapter_hash, plan
from evaluation.results import Point, questions, results
from evaluation.sample_store import Recorder
from report.evaluation import write_report
from rewards.grading.grade import extracted_answers, grade_answers, ungradable
from rewards.grading.graders import check_graders
from rewards.grading.verdict import Verdict

if TYPE_CHECKING:
    from models.engines.base import Engine
    from models.engines.generation import Generation

WORTH_SAYING = 0.02  # the share of cut or missing answers from which the report warns
Row = dict[str, Any]
Progress = Callable[[str, int, int, int], None]
"""Called with (point, samples done, samples in all, right ones) as samples are graded."""


def problems_of(config: EvalConfig) -> list[Problem]:
    """The benchmark's problems as they are asked: the instruction appended. Raises `DataError` and `RewardError`."""
    problems = load_problems(config.data)
    check_graders(problems)
    if not config.instruction:
        return problems
    return [replace(problem, question=f"{problem.question}\n\n{config.instruction}") for problem in problems]


# ---- generating


def generate(
    config: EvalConfig, problems: Sequence[Problem], run: RunDir, engine: "Engine", progress: Progress | None = None
) -> list[Point]:
    """Make the samples that are missing and return every one asked for, in the order of the plan.

    Starts the run directory, or goes on in it, once it is known that earlier samples fit. Raises `RunError`.
    """
    points = plan(config, problems, engine)
    kept = kept_rows(run, [task for tasks in points for task in tasks])
    run.start(config, resume=(run / "config.yaml").is_file())
    by_id = {problem.id: problem for problem in problems}
    grade_again(run, kept, by_id)
    prompts = {task.prompt_hash: task.prompt for tasks in points for task in tasks}
    write_jsonl(run / "prompts.jsonl", [{"hash": key, "prompt": prompt} for key, prompt in prompts.items()])
    found = []
    for tasks in points:
        done = [kept[task.place] for task in tasks if task.place in kept]
        with Recorder(
            run / "samples.jsonl", lambda rows: verdicts_of(rows, by_id), done, len(tasks), progress
        ) as recorder:
            missing = [task for task in tasks if task.place not in kept]
            if missing:
                append_jsonl(run / "metrics.jsonl", _generate(config, missing, engine, recorder))
        rows = {(row["point"], row["id"], row["sample"]): row for row in recorder.rows}
        found.append(
            Point(tasks[0].label, {**asdict(tasks[0].budget), **tasks[0].asked}, [rows[task.place] for task in tasks])
        )
    return found


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    """A whole file of rows, renamed into place."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _generate(config: EvalConfig, tasks: Sequence[Task], engine: "Engine", recorder: Recorder) -> Row:
    """Generate one point's missing samples into the recorder; its row of `metrics.jsonl`.

    Under rejection sampling only the accepted draw of a sample is recorded, or the last one; all of them count as time
    and tokens.
    """
    from models.engines.base import Request

    tokens = 0

    def draw(wanted: Sequence[int], attempt: int) -> list["Generation"]:
        nonlocal tokens
        last = attempt + 1 == tasks[0].tries

        def record(generation: "Generation") -> None:
            if last or ended_itself(generation):
                task = tasks[wanted[generation.request]]
                recorder.put({**row_of(task, generation, engine), "tries": attempt + 1})

        chosen = [tasks[at] for at in wanted]
        requests = [Request(t.prompt_ids, config.sampling, seed=t.seed_of(attempt), budget=t.budget) for t in chosen]
        generations: list[Generation] = engine.generate(requests, record)
        tokens += sum(len(generation.token_ids) for generation in generations)
        return generations

    started = time.perf_counter()
    rejection_sample(draw, len(tasks), ended_itself, tasks[0].tries)
    seconds = time.perf_counter() - started
    return {
        "point": tasks[0].label,
        "samples": len(tasks),
        "tokens": tokens,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
    }


def ended_itself(generation: "Generation") -> bool:
    """Its thinking was not ended by a limit: rejection sampling takes it."""
    return generation.stop not in ("limit", "context")


def kept_rows(run: RunDir, tasks: Sequence[Task]) -> dict[tuple[str, str, int], Row]:
    """`recorded`; a half-written last line leaves the file.

    Raises `RunError` where a row is in a task's place but was made with something else, or can't be read.
    """
    rows, path = recorded(run), run / "samples.jsonl"
    keep_jsonl(path, lambda row: True)
    changed = [task.place for task in tasks if task.place in rows and rows[task.place]["key"] != task.key]
    if changed:
        raise RunError(
            f"--resume: {path}: {len(changed)} samples, the first {changed[0]}, were made with another model, adapter, "
            "prompt, sampling or seed; name another output_dir"
        )
    return rows


def recorded(run: RunDir) -> dict[tuple[str, str, int], Row]:
    """The rows of earlier sessions by place. Raises `RunError` where one can't be read."""
    path = run / "samples.jsonl"
    try:
        return {(row["point"], row["id"], row["sample"]): row for row in read_jsonl(path)}
    except (ValueError, KeyError) as error:
        raise RunError(f"{path}: damaged: {error}; remove the broken line and go on with --resume") from None


def grade_again(run: RunDir, kept: Mapping[tuple[str, str, int], Row], problems: Mapping[str, Problem]) -> None:
    """New verdicts, in the rows and in `samples.jsonl`, where a problem's gold answer was mended since."""
    golds = {(problem.id, problem.question): problem.answer for problem in problems.values()}
    changed = [row for row in kept.values() if row["gold"] != golds.get((row["id"], row["question"]), row["gold"])]
    if not changed:
        return
    print(f"grading {len(changed)} samples again: their gold answer has changed")
    for row in changed:
        row["gold"] = problems[row["id"]].answer
    mark(changed, problems)
    write_jsonl(run / "samples.jsonl", list(kept.values()))


def verdicts_of(rows: Sequence[Row], problems: Mapping[str, Problem]) -> list[Verdict]:
    """Verdicts on rows whose answer is extracted."""
    return grade_answers([problems[row["id"]] for row in rows], [row["extracted"] for row in rows])


def mark(rows: Sequence[Row], problems: Mapping[str, Problem]) -> None:
    """Put each row's verdict, and the reason for it, into the row."""
    for row, verdict in zip(rows, verdicts_of(rows, problems), strict=True):
        row |= {"verdict": verdict.is_right, "reason": verdict.reason}


def row_of(task: Task, generation: "Generation", engine: "Engine") -> Row:
    """A generation as a row of `samples.jsonl`, not yet graded. `forced` are character ranges of `text`."""
    from models.engines.generation import forced_characters, spans

    prefill = engine.think_format.prefill
    text = prefill + generation.text
    return {
        "point": task.label,
        "id": task.problem.id,
        "sample": task.sample,
        "key": task.key,
        "prompt_hash": task.prompt_hash,
        "question": task.problem.question,
        "gold": task.problem.answer,
        "extracted": extracted_answers([task.problem], [engine.turn(generation)], engine.think_format)[0],
        "verdict": None,
        "reason": "",
        "text": text,
        "prefilled": len(prefill),
        "thinking": generation.thinking,
        "answer": generation.answer,
        "forced": forced_characters(generation, engine.tokenizer, prefill),
        "forced_tokens": spans(generation.forced),
        "stop": generation.stop,
        "finish": generation.finish,
        "thinking_tokens": generation.thinking_tokens,
        "answer_tokens": generation.answer_tokens,
        "token_ids": list(generation.token_ids),
        "seed": task.seed,
        "control": generation.control,
        "seconds": round(generation.seconds, 3),
    }


# ---- results


def finish(config: EvalConfig, problems: Sequence[Problem], run: RunDir, points: Sequence[Point]) -> Row:
    """Write `results.json`, `summary.json`, the curve and `report.html`; return the results.

    `results.json` holds no time and no path of this machine's own: the same samples give the same bytes.
    """
    digest = sha256(repr([(p.id, p.question, p.answer) for p in problems]).encode()).hexdigest()[:16]
    found = {
        "benchmark": {"source": config.data.source, "problems": len(problems), "hash": digest},
        "model": {"name": config.model.name, "adapter": adapter_hash(config.model.adapter), "answers": config.answers},
        "think_format": asdict(resolve_think_format(config.think_format))["name"],
        "sampling": config.sampling.model_dump(),
        "seed": config.seed,
        **results(points, config.seed),
    }
    write_json(run / "results.json", found)
    sessions = list(read_jsonl(run / "metrics.jsonl"))
    run.add_summary(
        accuracy={point["label"]: point["accuracy"] for point in found["points"]},
        warnings=warnings(problems, points),
        seconds=round(sum(session["seconds"] for session in sessions), 1),
        tokens=sum(session["tokens"] for session in sessions),
    )
    write_report(run.path, f"Evaluation · {config.data.source} · {config.model.adapter or config.model.name}")
    return found


def warnings(problems: Sequence[Problem], points: Sequence[Point]) -> list[str]:
    """What a reader of the accuracy must know: gold answers and samples without a verdict, cut and missing answers."""
    found = []
    if broken := [problem.id for problem in problems if ungradable(problem)]:
        found.append(f"{len(broken)} gold answers can't be parsed, their samples are ungraded: {', '.join(broken[:5])}")
    for point in points:
        rows = point.rows
        reasons = Counter(row["reason"] for row in rows if row["verdict"] is None)
        if reasons:
            why = ", ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items()))
            found.append(f"{point.label}: {sum(reasons.values())} of {len(rows)} samples are ungraded: {why}")
        if missing := len(problems) - len(questions(rows)):
            found.append(
                f"{point.label}: {missing} of {len(problems)} problems have no answer; accuracy leaves them out"
            )
        cut = sum(row["finish"] == "length" for row in rows)
        unanswered = sum(row["extracted"] is None for row in rows)
        if cut > WORTH_SAYING * len(rows):
            found.append(f"{point.label}: {cut} of {len(rows)} answers were cut at max_answer and graded as they are")
        if unanswered > WORTH_SAYING * len(rows):
            found.append(f"{point.label}: {unanswered} of {len(rows)} samples hold no answer and count as wrong")
    return found


def export_lm_eval(config: EvalConfig, problems: Sequence[Problem], run: RunDir, points: Sequence[Point]) -> list[Path]:
    """`lm_eval/samples_<benchmark>_<point>.jsonl`, a file a point; the files."""
    prompts = {row["hash"]: row["prompt"] for row in read_jsonl(run / "prompts.jsonl")}
    (run / "lm_eval").mkdir(exist_ok=True)
    names = [
        "".join(c if c.isalnum() or c in "=_-." else "_" for c in f"{config.data.source}_{point.label}")
        for point in points
    ]
    files = []
    for point, name in zip(points, names, strict=True):
        if names.count(name) > 1:  # labels that differ in nothing that a file's name may hold
            name += "_" + sha256(point.label.encode()).hexdigest()[:8]
        arguments = config.sampling.model_dump() | {"budget": dict(point.budget)}
        files.append(run / "lm_eval" / f"samples_{name}.jsonl")
        write_jsonl(files[-1], list(lm_eval_rows(problems, questions(point.rows), prompts, arguments)))
    return files
