"""Accuracy on held-out problems, before and after training: an evaluation of up to three points.

Where replies are right to a degree (`rougeL`, …) it is their mean score.

"greedy" is one sample a problem, "sampled" k samples at the training temperature, for avg@k. "general" is one sample a
problem of another kind, where the recipe names some: what training on its rows forgets.
"""

import time
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from configs.progress import Progress
from configs.run_directory import RunDir, write_json
from configs.sample import Sample
from configs.schema.sections import SamplingConfig
from configs.schema.training import HeldOutConfig, TrainingConfig
from data.problem import TEXT_GRADERS, Problem
from data.prompts import check_lengths, render_problem, token_ids
from data.sources import load_problems
from data.think_format import ThinkFormat
from evaluation.before_after import compare_point, show_point
from evaluation.made_samples import sample_of
from evaluation.metrics import Interval, accuracy, cluster_bootstrap, paired_bootstrap
from evaluation.plan import Task
from evaluation.results import repeated_answer, scores
from evaluation.runner import generate_tasks
from evaluation.sample_store import SampleStore, judged_samples
from evaluation.task_figures import baselines, check_metrics, metrics_of
from models.engines.base import Engine
from models.engines.generation import Generation
from report.before_after import COMPARISON_FILE
from rewards.grading.graders import check_graders

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GREEDY = SamplingConfig(temperature=0.0)
NAMES = ("before", "after")
FIELDS = ("value", "low", "high", "n")
CHANGES = {"greedy": "greedy_change", "sampled": "avg_at_k_change", "general": "general_change"}
"""Point → the name of its change in `summary.json`."""


class Measure:
    """Measures a training run's model when the recipe says so, and keeps the figures and the samples.

    `engine` is None where the recipe never measures (`TrainingConfig.generates`). `summary.json` gets `greedy_<when>`,
    `avg_at_k_<when>` and `general_<when>`, `heldout_<when>.jsonl` every sample, `comparison.json` what changed.
    """

    def __init__(
        self,
        run: RunDir,
        engine: Engine | None,
        config: TrainingConfig,
        held_out: list[Problem],
        general: Sequence[Problem] = (),
    ) -> None:
        self.run, self.engine, self.config, self.problems, self.general = run, engine, config, held_out, general
        self.seconds_a_sample = 0.0
        """What the last measurement took; 0 before the first of this process."""

    def __call__(self, when: Literal["before", "after"]) -> None:
        """Measure, print and write; nothing if the recipe doesn't ask for it, or a resumed run has it already."""
        config = self.config
        if (
            self.engine is None
            or config.eval is None
            or when not in config.eval.when
            or f"unjudged_{when}" in self.run.summary()
        ):
            return
        also = f" and {len(self.general)} general ones" if self.general else ""
        print(f"measuring {len(self.problems)} held-out problems × {1 + config.eval.k} samples{also} …", flush=True)
        started = time.perf_counter()
        figures, samples = measure(self.engine, self.problems, config.eval, config.sampling, config.seed, self.general)
        self.seconds_a_sample = (time.perf_counter() - started) / max(1, len(samples))
        self.store(when).write(samples)
        self.run.add_summary(**{f"{name}_{when}": figure for name, figure in figures.items()})
        if graders := {problem.grader for problem in self.problems} & {*TEXT_GRADERS}:
            self.run.add_summary(measured=f"mean {', '.join(sorted(graders))}")
        names = {"greedy": "greedy", "avg_at_k": f"avg@{config.eval.k}", "general": "general"}
        said = (f"{names[f]} {Interval(**{key: figures[f][key] for key in FIELDS})}" for f in names if f in figures)
        print(f"{when} training: {', '.join(said)}  ({time.perf_counter() - started:.0f} s)", flush=True)
        if repeated := repeated_answer([sample for sample in samples if sample.point == "greedy"]):
            print(f"warned  {when} training: {repeated}", flush=True)
        if when == "after" and self.store("before").path.is_file():
            self.compare()

    def compare(self) -> None:
        """Write and print what changed; of a domain task each of its metrics."""
        before, after = (list(self.store(at).load().values()) for at in ("before", "after"))
        gained = paired_changes(before, after)
        self.run.add_summary(**{name: interval.as_dict() for name, interval in gained.items()})
        said = ", ".join(f"{name.removesuffix('_change')} {i}" for name, i in gained.items())
        print(f"paired change: {said or 'none, no problem was measured both before and after training'}")
        both = {(s.id, s.question) for s in before} & {(s.id, s.question) for s in after}
        sides = [[s for s in samples if (s.id, s.question) in both] for samples in (before, after)]
        points = [point for label in ("greedy", "general") if (point := self._compared(label, *sides)) is not None]
        if points:
            comparison = {"names": NAMES, "samples": self.store("before").path.name, "points": points}
            write_json(self.run / COMPARISON_FILE, comparison)
        for point in points:
            show_point(point, NAMES, heading=len(points) > 1)

    def _compared(self, label: str, before: Sequence[Sample], after: Sequence[Sample]) -> dict[str, Any] | None:
        """One point before against after; None where nothing is known of it beside its accuracy."""
        held_out = self.config.eval
        data, problems = (held_out and held_out.data) or self.config.data, self.problems
        if label == "general":
            data, problems = (held_out and held_out.general) or data, list(self.general)
        earlier, later = ([s for s in samples if s.point == label] for samples in (before, after))
        metrics = metrics_of(data, None, [*earlier, *later])
        if (not metrics and label == "greedy") or not scores(earlier).keys() & scores(later).keys():
            return None
        trivial = baselines(metrics, problems, later)
        return compare_point(label, NAMES, metrics, earlier, later, trivial, self.config.seed)

    def store(self, when: str) -> SampleStore:
        """The file of the samples of one measurement."""
        return SampleStore(self.run / f"heldout_{when}.jsonl")


def paired_changes(before: Sequence[Sample], after: Sequence[Sample]) -> dict[str, Interval]:
    """Accuracy after training less that before, on the problems that were measured both times (a resumed run may hold
    others out); intervals by paired bootstrap over problems. Empty where there is no such problem."""
    figures = {}
    for point, name in CHANGES.items():
        earlier, later = (_means(samples, point) for samples in (before, after))
        both = [problem for problem in earlier if problem in later]
        if both:
            figures[name] = paired_bootstrap([earlier[p] for p in both], [later[p] for p in both])
    return figures


def _means(samples: Sequence[Sample], point: str) -> dict[tuple[str, str], float]:
    """A problem (its id and question: other data may count alike) → the mean worth of its samples at one point."""
    worth: dict[tuple[str, str], list[float]] = {}
    for sample in samples:
        if sample.point == point:
            worth.setdefault((sample.id, sample.question), []).append(worth_of(sample))
    return {problem: fmean(its) for problem, its in worth.items()}


def worth_of(sample: Sample) -> float:
    """1 or 0 for right or not; of a reply that is right to a degree its score."""
    return sample.score or 0.0 if sample.grader in TEXT_GRADERS else float(sample.is_right is True)


def measure(
    engine: Engine,
    problems: Sequence[Problem],
    config: HeldOutConfig,
    sampling: SamplingConfig,
    seed: int,
    general: Sequence[Problem] = (),
) -> tuple[dict[str, Any], list[Sample]]:
    """({"greedy": …, "avg_at_k": …, …}, the samples of all points).

    Greedy: one sample a problem, Wilson's interval (of mean scores: by bootstrap). avg@k: the mean over `config.k`
    samples at `sampling`, its interval by bootstrap over problems. An answer that can't be judged counts as wrong here,
    and is counted as `unjudged`. The same seed draws the same noise for the same problem, so that before and after are
    paired.
    """
    # 1. generate: one call, in which short rows of one point fill the batch of another
    tasks = plan_points(engine, problems, config, sampling, seed, general)
    with Progress("held-out samples", total=len(tasks)) as progress:
        made: dict[int, Sample] = {}  # by the task itself: a data set may have an id twice

        def take(task: Task, generation: Generation) -> None:
            made[id(task)] = sample_of(task, generation, engine)
            progress.update(len(made))

        generate_tasks(engine, tasks, take)

    # 2. grade
    drawn = [made[id(task)] for task in tasks]
    samples = judged_samples(drawn, [task.problem for task in tasks])

    return figures_of(samples, config.k), samples


def figures_of(samples: Sequence[Sample], k: int) -> dict[str, Any]:
    """What `measure` says of its samples, or of those of some problems; a point's are in the order of the problems."""
    worth: dict[str, list[float]] = {"greedy": [], "sampled": [], "general": []}
    for sample in samples:
        worth[sample.point].append(worth_of(sample))
    figures: dict[str, Any] = {
        "unjudged": sum(sample.score is None for sample in samples),
        "truncated": sum(sample.is_truncated for sample in samples),
    }
    if drawn := worth["sampled"]:
        average = cluster_bootstrap([drawn[at : at + k] for at in range(0, len(drawn), k)])
        greedy = accuracy([[one] for one in worth["greedy"]])
        figures |= {"greedy": greedy.as_dict(), "avg_at_k": average.as_dict() | {"k": k}}
    if general := worth["general"]:
        figures["general"] = accuracy([[one] for one in general]).as_dict()
    return figures


def samples_on(samples: Sequence[Sample], k: int, problems: slice) -> list[Sample]:
    """Of a measurement's samples those on some of the held-out problems, by their place in the run's list."""
    greedy, drawn = ([s for s in samples if s.point == point] for point in ("greedy", "sampled"))
    groups = [drawn[at : at + k] for at in range(0, len(drawn), k)]
    return [*greedy[problems], *(sample for group in groups[problems] for sample in group)]


def plan_points(
    engine: Engine,
    problems: Sequence[Problem],
    config: HeldOutConfig,
    sampling: SamplingConfig,
    seed: int,
    general: Sequence[Problem] = (),
) -> list[Task]:
    """A task a sample: the greedy point, `config.k` samples a problem that share its seed, the general point."""
    points = (
        ("greedy", GREEDY, 1, problems),
        ("sampled", sampling, config.k, problems),
        ("general", GREEDY, 1, general),
    )
    tasks = []
    for label, how, count, its in [point for point in points if point[-1]]:
        prompts = [render_problem(engine.tokenizer, problem, engine.think_format) for problem in its]
        ids = token_ids(engine.tokenizer, prompts)
        tasks += [
            Task(
                label=label,
                budget=None,
                sampling=how,
                asked={},
                problem=problem,
                sample=sample,
                prompt=prompts[at],
                prompt_ids=tuple(ids[at]),
                seed=seed + at,
                max_tokens=config.max_tokens,
            )
            for at, problem in enumerate(its)
            for sample in range(count)
        ]
    return tasks


def fitting(
    config: TrainingConfig, problems: list[Problem], tokenizer: "PreTrainedTokenizerBase", think_format: ThinkFormat
) -> list[Problem]:
    """The problems whose prompt leaves room for a sample, where the recipe measures at all; else all.

    Those that don't are left out and counted where the recipe leaves out long rows to train on. Raises `DataError`
    where it does not, or none fits, and `RewardError` for an unknown grader of a problem, or metric of the task.
    """
    check_graders(problems)
    if config.eval is None or not config.eval.measures:
        return problems
    for section in (config.eval.data or config.data, config.eval.general):
        if section is not None:
            check_metrics(section, None)
    ids = problem_prompt_ids(problems, tokenizer, think_format)
    longest = config.model.max_length - config.eval.max_tokens
    kept = [problem for problem, prompt in zip(problems, ids, strict=True) if len(prompt) <= longest]
    if config.drops_long_rows and 0 < len(kept) < len(problems):
        print(
            f"left out {len(problems) - len(kept)} of {len(problems)} held-out problems: longer than the {longest} "
            "tokens that model.max_length and eval.max_tokens leave"
        )
        return kept
    check_lengths(problems, ids, config.eval.max_tokens, config.model.max_length, "eval.max_tokens")
    return problems


def general_problems(
    config: TrainingConfig, tokenizer: "PreTrainedTokenizerBase", think_format: ThinkFormat
) -> list[Problem]:
    """The problems of `eval.general` that fit; none where the recipe names none. Raises as `fitting` does."""
    if config.eval is None or config.eval.general is None:
        return []
    return fitting(config, load_problems(config.eval.general), tokenizer, think_format)


def problem_prompt_ids(
    problems: Sequence[Problem], tokenizer: "PreTrainedTokenizerBase", think_format: ThinkFormat
) -> list[list[int]]:
    """Each problem's prompt as token ids."""
    return token_ids(tokenizer, [render_problem(tokenizer, problem, think_format) for problem in problems])
