"""An evaluation: problems × budgets × samples → `samples.jsonl` (as they come) → `results.json`, curve and report.

A resumed run keeps the rows whose key (`evaluation.plan`) is still asked for and makes the others, so budgets,
samples and problems can also be added to a finished run.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from configs.errors import RunError
from configs.run_directory import RunDir, append_jsonl, read_jsonl, write_json, write_jsonl
from configs.sample import Place, Sample
from configs.schema.evaluation import EvalConfig
from data.problem import Problem, problems_hash
from data.sources import load_problems
from data.think_format import resolve_think_format
from evaluation.judging import JUDGEMENTS_FILE, ask_judge, case_of, failures, judged_figures
from evaluation.length_prompts import rejection_sample
from evaluation.plan import Task, adapter_hash, plan
from evaluation.results import Point, accuracy_bounds, questions, repeated_answer, results
from evaluation.sample_store import GradingThread, Progress, SampleStore, grade_samples
from evaluation.task_figures import check_metrics, recorded_metrics, task_figures
from report.evaluation import write_evaluation_report
from report.page import percent
from rewards.grading.grade import extracted_answer, ungradable
from rewards.grading.graders import check_graders

if TYPE_CHECKING:
    from models.engines.base import Engine
    from models.engines.generation import Generation

WORTH_SAYING = 0.02  # the share of cut or missing answers from which the report warns
SAMPLES_FILE = "samples.jsonl"
Row = dict[str, Any]


def problems_of(config: EvalConfig) -> list[Problem]:
    """The benchmark's problems as they are asked: the instruction appended. Raises `DataError` and `RewardError`."""
    problems = load_problems(config.data)
    check_graders(problems)
    check_metrics(config.data, config.metrics)
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
    # 1. what is there already
    points = plan(config, problems, engine)
    store = SampleStore(run / SAMPLES_FILE)
    kept = kept_samples(store, [task for tasks in points for task in tasks])
    run.start(config, resume=(run / "config.yaml").is_file(), think_format=asdict(engine.think_format))
    by_id = {problem.id: problem for problem in problems}
    kept = store.regrade(kept, by_id)
    prompts = {task.prompt_hash: task.prompt for tasks in points for task in tasks}
    write_jsonl(run / "prompts.jsonl", [{"hash": key, "prompt": prompt} for key, prompt in prompts.items()])

    # 2. what is missing, a point after the other
    measured = []
    for tasks in points:
        done = [kept[task.place] for task in tasks if task.place in kept]
        with GradingThread(store, lambda its: grade_samples(its, by_id), done, len(tasks), progress) as grading:
            missing = [task for task in tasks if task.place not in kept]
            if missing:
                append_jsonl(run / "metrics.jsonl", _generate(missing, engine, grading))
        by_place = {sample.place: sample for sample in grading.samples}
        measured.append(point_of(tasks, [by_place[task.place] for task in tasks]))
    return measured


def point_of(tasks: Sequence[Task], samples: Sequence[Sample]) -> Point:
    """The point that the tasks belong to, with its samples."""
    first = tasks[0]
    return Point(first.label, {**(asdict(first.budget) if first.budget else {}), **first.asked}, samples)


def _generate(tasks: Sequence[Task], engine: "Engine", grading: GradingThread) -> Row:
    """Generate one point's missing samples into the grading thread; its row of `metrics.jsonl`.

    Under rejection sampling only the accepted draw of a sample is recorded, or the last one; all of them count as time
    and tokens.
    """
    tokens = 0

    def draw_again(wanted: Sequence[int], attempt: int) -> list["Generation"]:
        nonlocal tokens
        last = attempt + 1 == tasks[0].tries

        def record(task: Task, generation: "Generation") -> None:
            if last or ended_itself(generation):
                grading.put(sample_of(task, generation, engine, attempt + 1))

        generations = generate_tasks(engine, [tasks[at] for at in wanted], record, attempt)
        tokens += sum(len(generation.token_ids) for generation in generations)
        return generations

    started = time.perf_counter()
    rejection_sample(draw_again, len(tasks), ended_itself, tasks[0].tries)
    seconds = time.perf_counter() - started
    return {
        "point": tasks[0].label,
        "samples": len(tasks),
        "tokens": tokens,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
    }


def generate_tasks(
    engine: "Engine", tasks: Sequence[Task], on_done: Callable[[Task, "Generation"], None], attempt: int = 0
) -> list["Generation"]:
    """A generation a task, in their order, from one call of the engine; `on_done` gets each as soon as it is there."""
    from models.engines.base import Request

    groups = [list(group) for _, group in groupby(tasks, lambda task: (task.label, task.prompt_ids, task.seed))]
    requests = [
        Request(
            first.prompt_ids,
            first.sampling,
            first.max_tokens,
            seed=first.seed_of(attempt),
            budget=first.budget,
            n=len(group),
        )
        for group in groups
        for first in group[:1]
    ]
    return engine.generate(requests, lambda one: on_done(groups[one.request][one.sample], one))


def ended_itself(generation: "Generation") -> bool:
    """Its thinking was not ended by a limit: rejection sampling takes it."""
    return generation.stop not in ("limit", "context")


def kept_samples(store: SampleStore, tasks: Sequence[Task]) -> dict[Place, Sample]:
    """The samples of earlier sessions; a half-written last line leaves the file.

    Raises `RunError` where one is in a task's place but was made with something else, or can't be read.
    """
    samples = store.load()
    store.keep_whole_lines()
    changed = [task.place for task in tasks if task.place in samples and samples[task.place].key != task.key]
    if changed:
        raise RunError(
            f"--resume: {store.path}: {len(changed)} samples, the first {changed[0]}, were made with another model, "
            "adapter, prompt, sampling or seed; name another output_dir"
        )
    return samples


def sample_of(task: Task, generation: "Generation", engine: "Engine", tries: int = 1) -> Sample:
    """A generation as a sample, not yet graded."""
    from models.engines.generation import forced_characters, spans

    prefill = engine.think_format.prefill
    return Sample(
        id=task.problem.id,
        point=task.label,
        sample=task.sample,
        question=task.problem.question,
        gold=task.problem.answer,
        grader=task.problem.grader,
        text=prefill + generation.text,
        prefilled=len(prefill),
        forced=tuple(forced_characters(generation, engine.tokenizer, prefill)),
        thinking=generation.thinking,
        answer=generation.answer,
        extracted=extracted_answer(task.problem, engine.turn(generation), engine.think_format),
        stop=generation.stop,
        finish=generation.finish,
        completion_tokens=len(generation.token_ids),
        thinking_tokens=generation.thinking_tokens,
        answer_tokens=generation.answer_tokens,
        token_ids=generation.token_ids,
        forced_tokens=tuple(spans(generation.forced)),
        seed=task.seed,
        key=task.key,
        prompt_hash=task.prompt_hash,
        control=generation.control,
        tries=tries,
        seconds=round(generation.seconds, 3),
    )


# ---- results


def finish(config: EvalConfig, problems: Sequence[Problem], run: RunDir, points: Sequence[Point]) -> Row:
    """Write `results.json` and `summary.json`; return the results.

    `results.json` holds no time and no path of this machine's own: the same samples give the same bytes.
    """
    summary = {
        "benchmark": {"source": config.data.source, "problems": len(problems), "hash": problems_hash(problems)},
        "model": {"name": config.model.name, "adapter": adapter_hash(config.model.adapter), "answers": config.answers},
        "think_format": asdict(resolve_think_format(config.think_format))["name"],
        "sampling": config.sampling.model_dump(),
        "seed": config.seed,
        **results(points, config.seed),
    }
    texts = judgements(config, run, points)
    for entry, point in zip(summary["points"], points, strict=True):
        recorded = recorded_metrics(config, [(run.path, point.samples)])
        entry.update(task_figures(config.data, config.metrics, problems, point.samples, config.seed, recorded))
        entry["judge"] = judged_figures(config.judge, texts, point.samples) if config.judge else None
    write_json(run / "results.json", summary)
    failed = failures(run / JUDGEMENTS_FILE) if config.judge else []
    sessions = list(read_jsonl(run / "metrics.jsonl"))
    run.add_summary(
        accuracy={point["label"]: point["accuracy"] for point in summary["points"]},
        warnings=[*warnings(problems, points), *unjudged(summary["points"]), *failed],
        seconds=round(sum(session["seconds"] for session in sessions), 1),
        tokens=sum(session["tokens"] for session in sessions),
    )
    return summary


def unjudged(points: Sequence[Row]) -> list[str]:
    """What a reader of the judge's score must know: replies that it gave none."""
    return [
        f"{point['label']}: the judge gave {point['judge']['unjudged']} of {point['samples']} replies no score that "
        "can be read; its mean leaves them out"
        for point in points
        if point["judge"] and point["judge"]["unjudged"]
    ]


def judgements(config: EvalConfig, run: RunDir, points: Sequence[Point]) -> dict[str, str]:
    """What the recipe's judge says of every sample, asked for where `judgements.jsonl` does not have it."""
    if config.judge is None:
        return {}
    cases = [case_of(config.judge, sample) for point in points for sample in point.samples]
    return ask_judge(config.judge, cases, run / JUDGEMENTS_FILE)


def report(config: EvalConfig, run: RunDir) -> None:
    """Write the curve and `report.html`."""
    name = config.data.task or config.data.source
    write_evaluation_report(run.path, f"Evaluation · {name} · {config.model.adapter or config.model.name}")


def warnings(problems: Sequence[Problem], points: Sequence[Point]) -> list[str]:
    """What a reader of the accuracy must know: gold answers and samples without a verdict, one answer to
    everything, cut and missing answers."""
    messages = []
    if broken := [problem.id for problem in problems if ungradable(problem)]:
        messages.append(
            f"{len(broken)} gold answers can't be parsed, their samples are ungraded: {', '.join(broken[:5])}"
        )
    for point in points:
        samples = point.samples
        reasons = Counter(sample.reason for sample in samples if sample.score is None)
        if (sure := accuracy_bounds(samples)) is not None:
            why = ", ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items()))
            text = f"{point.label}: {sum(reasons.values())} of {len(samples)} samples are ungraded: {why}"
            low, high = percent(sure["low"]), percent(sure["high"])
            messages.append(
                f"{text}; accuracy leaves them out: {low} if all of them are wrong, {high} if all are right"
            )
        if repeated := repeated_answer(samples):
            messages.append(f"{point.label}: {repeated}")
        if missing := len(problems) - len(questions(samples)):
            messages.append(
                f"{point.label}: {missing} of {len(problems)} problems have no answer; accuracy leaves them out"
            )
        cut = sum(sample.is_truncated for sample in samples)
        unanswered = sum(sample.extracted is None for sample in samples)
        if cut > WORTH_SAYING * len(samples):
            messages.append(
                f"{point.label}: {cut} of {len(samples)} answers were cut at max_answer and graded as they are"
            )
        if unanswered > WORTH_SAYING * len(samples):
            messages.append(f"{point.label}: {unanswered} of {len(samples)} samples hold no answer and count as wrong")
    return messages
