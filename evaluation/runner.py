"""An evaluation: problems × budgets × samples → `samples.jsonl` (as they come) → `results.json`, curve and report.

A resumed run keeps the rows whose key (`evaluation.plan`) is still asked for and makes the others, so budgets,
samples and problems can also be added to a finished run.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from configs.errors import RunError
from configs.run_directory import RunDir, append_jsonl, read_jsonl, write_json, write_jsonl
from configs.sample import Place, Sample
from configs.schema.evaluation import EvalConfig
from data.problem import Problem, problems_hash
from data.sources import load_problems
from data.think_format import resolve_think_format
from evaluation.acting import without_its_tools
from evaluation.benchmark_age import older_than_model
from evaluation.compare import neighbours
from evaluation.judging import JUDGEMENTS_FILE, ask_judge, case_of, failures, judged_figures
from evaluation.length_prompts import rejection_sample
from evaluation.made_samples import probe_of, sample_of
from evaluation.plan import Task, adapter_hash, longest_point, plan, probe_tasks, shared_thinking
from evaluation.results import Point, results
from evaluation.sample_store import GradingThread, SampleStore, grade_samples
from evaluation.stopping import probed_figures
from evaluation.task_figures import check_metrics, recorded_metrics, task_figures
from evaluation.trajectories import PROBES_FILE, trajectories
from evaluation.warnings import unjudged, warnings
from report.confusion import write_confusion
from report.evaluation import names_of, write_evaluation_report
from rewards.grading.graders import check_graders

if TYPE_CHECKING:
    from models.engines.base import Engine
    from models.engines.generation import Generation

SAMPLES_FILE = "samples.jsonl"
Row = dict[str, Any]
Progress = Callable[[str, int, int, int], None]
"""Called with (points, samples done, samples in all, right ones) as samples are graded."""


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
    """Make the samples and probes that are missing; every sample asked for, in the order of the plan.

    Starts the run directory, or goes on in it, once it is known that earlier samples fit. Raises `RunError`.
    """
    # 1. what is there already
    points = plan(config, problems, engine)
    longest = longest_point([fields_of(tasks) for tasks in points]) if config.probes else None
    probes = [] if longest is None else probe_tasks(config, points[longest], engine)
    store, probe_store = SampleStore(run / SAMPLES_FILE), SampleStore(run / PROBES_FILE)
    kept = kept_samples(store, [task for tasks in points for task in tasks])
    kept_probes = kept_samples(probe_store, probes)
    run.start(config, resume=(run / "config.yaml").is_file(), think_format=asdict(engine.think_format))
    by_id = {problem.id: problem for problem in problems}
    kept, kept_probes = store.regrade(kept, by_id), probe_store.regrade(kept_probes, by_id)
    prompts = {task.prompt_hash: task.prompt for tasks in points for task in tasks}
    write_jsonl(run / "prompts.jsonl", [{"hash": key, "prompt": prompt} for key, prompt in prompts.items()])

    # 2. what is missing: points that share their thinking together, the others one after the other
    by_place = dict(kept)
    grade = partial(grade_samples, problems=by_id)
    with GradingThread(probe_store, grade) as probing:
        recorder = _Recorder(engine, probing, "" if longest is None else points[longest][0].label, kept.values())
        for numbers in shared_thinking(config.budgets):
            tasks = [task for number in numbers for task in points[number]]
            missing = [task for task in tasks if task.place not in kept]
            if longest in numbers:
                missing += [task for task in probes if task.place not in kept_probes and not recorder.is_over(task)]
            labels = list(dict.fromkeys(task.label for task in tasks))
            move = progress and partial(progress, labels[0] if len(labels) == 1 else f"{len(labels)} budgets")
            done = [kept[task.place] for task in tasks if task.place in kept]
            with GradingThread(store, grade, done, len(tasks), move) as grading:
                if missing:
                    row = _generate(missing, engine, partial(recorder.take, grading))
                    append_jsonl(run / "metrics.jsonl", {"points": labels, **row})
            by_place.update((sample.place, sample) for sample in grading.samples)
    return [point_of(tasks, [by_place[task.place] for task in tasks]) for tasks in points]


class _Recorder:
    """Hands generations over to be graded: samples, and the probes of a thinking that is not over before them.

    `label`: the point that is probed; `known`: samples that are there already.
    """

    def __init__(self, engine: "Engine", probing: GradingThread, label: str, known: Iterable[Sample]) -> None:
        self.engine, self.probing, self.label = engine, probing, label
        self.thought = {(one.id, one.sample): one.thinking_tokens or 0 for one in known if one.point == label}

    def is_over(self, probe: Task) -> bool:
        """The thinking is known to have ended before the probe."""
        return (probe.probe or 0) >= self.thought.get((probe.problem.id, probe.sample), math.inf)

    def take(self, grading: GradingThread, task: Task, generation: "Generation", tries: int) -> None:
        """A sample comes before its probes, so that these know how long it thought."""
        if task.probe is None:
            if task.label == self.label:
                self.thought[task.problem.id, task.sample] = generation.thinking_tokens
            grading.put(sample_of(task, generation, self.engine, tries))
        elif not self.is_over(task):
            self.probing.put(probe_of(task, generation, self.engine))


def point_of(tasks: Sequence[Task], samples: Sequence[Sample]) -> Point:
    """The point that the tasks belong to, with its samples."""
    return Point(tasks[0].label, fields_of(tasks), samples)


def fields_of(tasks: Sequence[Task]) -> Row:
    """What their point asks for: its budget, and what the prompt says beside it."""
    budget = tasks[0].budget
    return {**(budget.as_dict() if budget else {}), **tasks[0].asked}


def _generate(tasks: Sequence[Task], engine: "Engine", record: Callable[[Task, "Generation", int], None]) -> Row:
    """Generate missing samples; how many tokens they took, and how many of these were decoded, each once.

    Under rejection sampling only the accepted draw of a sample is recorded, or the last one; all of them count as time
    and tokens.
    """
    tokens = decoded = 0

    def draw_again(wanted: Sequence[int], attempt: int) -> list[bool]:
        last = attempt + 1 == tasks[0].tries
        asked = [tasks[at] for at in wanted]
        fits: dict[Place, bool] = {}

        def take(task: Task, generation: "Generation") -> None:
            nonlocal tokens, decoded
            tokens += len(generation.token_ids) + generation.probe_tokens
            decoded += len(generation.token_ids) + generation.probe_tokens - generation.shared
            fits[task.place] = ended_itself(generation)
            if last or fits[task.place]:
                record(task, generation, attempt + 1)

        generate_tasks(engine, asked, take, attempt)
        return [fits[task.place] for task in asked]

    started = time.perf_counter()
    rejection_sample(draw_again, len(tasks), bool, tasks[0].tries)
    seconds = time.perf_counter() - started
    return {
        "samples": sum(task.probe is None for task in tasks),
        "probes": sum(task.probe is not None for task in tasks),
        "tokens": tokens,
        "decoded_tokens": decoded,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(decoded / seconds, 1),
    }


def generate_tasks(
    engine: "Engine", tasks: Sequence[Task], on_done: Callable[[Task, "Generation"], None], attempt: int = 0
) -> None:
    """A generation a task, from one call of the engine; `on_done` gets each as soon as it is there."""
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
            logprobs=first.logprobs,
            problem=first.posed or first.problem,
        )
        for group in groups
        for first in group[:1]
    ]
    engine.stream(requests, lambda one: on_done(groups[one.request][one.sample], one))


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
            "adapter, prompt, sampling, seed or probed budget; name another output_dir"
        )
    return samples


# ---- results


def finish(config: EvalConfig, problems: Sequence[Problem], run: RunDir, points: Sequence[Point]) -> Row:
    """Write `results.json`, `summary.json` and, of a task with labels, `confusion.csv`; return the results.

    `results.json` holds no time and no path of this machine's own: the same samples give the same bytes.
    """
    summary = {
        "benchmark": {"source": config.data.source, "problems": len(problems), "hash": problems_hash(problems)},
        "model": {"name": config.model.name, "adapter": adapter_hash(config.model.adapter), "answers": config.answers},
        "think_format": asdict(resolve_think_format(config.think_format))["name"],
        "sampling": config.sampling.model_dump(),
        "seed": config.seed,
        **results(points, config.seed),
        "differences": neighbours(points),
        "probes": probed(config, run, points),
    }
    texts = judgements(config, run, points)
    for entry, point in zip(summary["points"], points, strict=True):
        recorded = recorded_metrics(config, [(run.path, point.samples)])
        entry.update(task_figures(config.data, config.metrics, problems, point.samples, config.seed, recorded))
        entry["judge"] = judged_figures(config.judge, texts, point.samples) if config.judge else None
    write_json(run / "results.json", summary)
    write_confusion(run.path, summary["points"], names_of(summary["points"]))
    failed = failures(run / JUDGEMENTS_FILE) if config.judge else []
    older = older_than_model(config.data.source, config.model.name)
    sessions = list(read_jsonl(run / "metrics.jsonl"))
    run.add_summary(
        accuracy={point["label"]: point["accuracy"] for point in summary["points"]},
        warnings=[
            *warnings(problems, points),
            *unjudged(summary["points"]),
            *failed,
            *([older] if older else []),
            *without_its_tools(config),
        ],
        seconds=round(sum(session["seconds"] for session in sessions), 1),
        tokens=sum(session["tokens"] for session in sessions),
        decoded_tokens=sum(session["decoded_tokens"] for session in sessions),
    )
    return summary


def probed(config: EvalConfig, run: RunDir, points: Sequence[Point]) -> Row | None:
    """What the probes of the longest point say; None without any."""
    if config.probes is None:
        return None
    point = points[longest_point([point.budget for point in points])]
    every = config.probes.every
    probes = list(SampleStore(run / PROBES_FILE).load().values())
    return probed_figures(point.label, every, trajectories(point.samples, probes, every), config.seed)


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
