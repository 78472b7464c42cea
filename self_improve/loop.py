"""The rounds, top to bottom: pose → solve → check and keep → train → measure → build on it or not."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import RunError
from configs.round_record import (
    KEPT,
    POSED_FILE,
    ROUNDS_FILE,
    PosedProblem,
    RoundRecord,
    read_posed,
    read_rounds,
)
from configs.run_directory import RunDir, append_jsonl, keep_jsonl, read_jsonl, write_jsonl
from configs.sample import Sample, read_samples
from configs.schema.sections import ModelConfig
from configs.schema.self_improve import SelfImproveConfig
from data.corpus import load_traces
from data.problem import Problem
from data.sources import load_problems
from evaluation import metrics
from evaluation.results import scores
from report.page import percent_interval
from report.self_improvement import write_self_improvement_report
from rewards.grading.graders import check_graders
from self_improve import plan
from self_improve.check import answers
from self_improve.child import only_one, run_step
from self_improve.decision import decide, last_taken, taken_before, why_to_stop
from self_improve.posing import POSED, check_seeds, family_problems, poser_rows, prompts, read_posed_problems
from self_improve.selection import kept_traces, new_ones, that_teach

STEPS_FILE = "steps.jsonl"
"""The steps that ended well, `{step, seconds}` a line."""


class EmptyRound(RunError):
    """A round without a problem to train on: the end of the loop, and an error where no round came before it."""


@dataclass(frozen=True, slots=True)
class KnownProblems:
    """Questions: the seeds of a poser, all that a posed problem must not repeat, and those that are measured on."""

    seeds: Sequence[str]
    old: Sequence[str]
    measured: Mapping[str, Sequence[str]]


def check_data(config: SelfImproveConfig) -> KnownProblems:
    """Read every source that the recipe names. Raises the `DataError` of any that can't be used."""
    seeds: list[str] = []
    if config.pose.seeds is not None:
        seeds = list(
            dict.fromkeys(problem.question for problem in load_problems(config.pose.seeds, needs_answer=False))
        )
        check_seeds(config.pose, seeds)
    held_out = load_problems(config.eval.data)
    check_graders(held_out)
    if config.pose.families:
        check_graders(family_problems(config.pose, 1))
    old = [trace.question for trace in load_traces(config.train.old)] if config.train.old else []
    measured = {"the held-out problems": [problem.question for problem in held_out]}
    for benchmark in config.keep.benchmarks:
        measured[benchmark.path or benchmark.source] = [problem.question for problem in load_problems(benchmark)]
    return KnownProblems(seeds, [*seeds, *old], measured)


class Loop:
    """The rounds of one run folder. Whatever a step made stays; what only reads is done again after a kill."""

    def __init__(self, config: SelfImproveConfig, run: RunDir, known: KnownProblems) -> None:
        self.config, self.run, self.known = config, run, known
        self.lock = -1

    def run_rounds(self, resume: bool) -> None:
        """All rounds that are not done yet. Raises `RunError` for a step that fails, and for an empty first round."""
        # 1. the folder, which no other process works in
        self.run.path.mkdir(parents=True, exist_ok=True)
        with only_one(self.run.path) as self.lock:
            self.run.start(self.config, resume)
            for name in (STEPS_FILE, ROUNDS_FILE):
                keep_jsonl(self.run / name, lambda row: True)
            # 2. the model as it came, measured; a poser where one is trained
            if not read_rounds(self.run.path):
                self._measure_the_start()
            if self.config.pose.train is not None:
                rows = plan.round_folder(self.config, 0) / "poser_rows.jsonl"
                write_jsonl(rows, poser_rows(self.config.pose, self.known.seeds, self.config.seed))
                self._run(plan.train_poser(self.config, rows))
            # 3. round by round
            self._finish(self._rounds())

    def _rounds(self) -> str:
        """Round after round; the reason to stop. Raises `EmptyRound` where the first one is empty."""
        while not (reason := self._why_to_stop()):
            records = read_rounds(self.run.path)
            try:
                record = self._round(records)
            except EmptyRound as empty:
                if len(records) == 1:
                    raise
                return str(empty)
            append_jsonl(self.run / ROUNDS_FILE, record.as_row())
            print(f"round {record.number}: {percent_interval(record.accuracy)}; {record.verdict}", flush=True)
            write_self_improvement_report(self.run.path)
        return reason

    def _why_to_stop(self) -> str | None:
        return why_to_stop(read_rounds(self.run.path), self.config.rounds, self.config.patience)

    def _run(self, step: plan.Step) -> float:
        """Run a step unless it ended before; its seconds."""
        done = {row["step"]: float(row["seconds"]) for row in read_jsonl(self.run / STEPS_FILE)}
        if step.name not in done:
            begin = time.perf_counter()
            run_step(step, self.lock)
            done[step.name] = round(time.perf_counter() - begin, 1)
            append_jsonl(self.run / STEPS_FILE, {"step": step.name, "seconds": done[step.name]})
        return done[step.name]

    def _measure_the_start(self) -> None:
        plan.round_folder(self.config, 0).mkdir(exist_ok=True)
        seconds = self._run(plan.measure(self.config, 0, self.config.model))
        samples = self._measured(0)
        accuracy = metrics.accuracy(list(scores(samples).values())).as_dict()
        record = RoundRecord(
            0,
            0,
            self.config.model.adapter or "",
            accuracy,
            verdict="the model as it came",
            seconds={"measure": seconds},
        )
        append_jsonl(self.run / ROUNDS_FILE, record.as_row())
        print(f"round 0: {percent_interval(accuracy)} on the held-out problems", flush=True)

    def _round(self, records: Sequence[RoundRecord]) -> RoundRecord:
        """One round on top of the last that was taken."""
        number, start = records[-1].number + 1, last_taken(records)
        folder = plan.round_folder(self.config, number)
        folder.mkdir(exist_ok=True)
        model = self._model_of(start)
        seconds: dict[str, float] = {}
        # 1. pose
        posed, problems = self._pose(number, seconds)
        # 2. solve
        write_jsonl(folder / "problems.jsonl", map(self._asked, problems))
        seconds["solve"] = self._run(plan.solve(self.config, number, folder / "problems.jsonl", model))
        # 3. check and keep
        config = self.config
        answered = answers(config, folder, [problem.id for problem in problems])
        posed = that_teach(posed, answered, config.check, config.keep, config.seed)
        self._keep(folder, posed)
        rows = kept_traces(posed, answered, config.keep.traces)
        write_jsonl(folder / "traces.jsonl", rows)
        fates = dict(Counter(one.fate for one in posed).most_common())
        if not rows:
            raise _empty_round(number, fates, "change pose, solve or keep")
        print(f"round {number}: {_listed(fates)}; {len(rows):,} answers to train on", flush=True)
        # 4. train and measure
        trained = self._train(number, records, model, seconds)
        seconds["measure"] = self._run(plan.measure(config, number, trained))
        # 5. build on it, or not
        samples = self._measured(number)
        decision = decide(self._measured(start.number), samples, config.rounds, start.number)
        return RoundRecord(
            number, start.number, str(trained.adapter or trained.name),
            metrics.accuracy(list(scores(samples).values())).as_dict(), decision.gain.difference.as_dict(),
            decision.is_taken, decision.verdict, fates, len(rows), seconds,
        )  # fmt: skip

    def _pose(self, number: int, seconds: dict[str, float]) -> tuple[list[PosedProblem], list[Problem]]:
        """All that was posed with its fate so far, and the new problems among it."""
        config, folder = self.config, plan.round_folder(self.config, number)
        if config.pose.by == "family":
            drawn = family_problems(config.pose, number)
            posed = [PosedProblem(problem.id, problem.question, POSED) for problem in drawn]
        else:
            asked = folder / "prompts.jsonl"
            write_jsonl(asked, prompts(config.pose, self.known.seeds, number, config.seed))
            step = plan.pose(config, number, asked)
            seconds["pose"] = self._run(step)
            posed = read_posed_problems(read_jsonl(step.folder / "samples.jsonl"))
            drawn = [Problem(one.id, one.question, "", "posed") for one in posed]
        earlier = [one.question for past in range(1, number) for one in read_posed(plan.round_folder(config, past))]
        posed = new_ones(posed, [*self.known.old, *earlier], self.known.measured)
        new = {one.id for one in posed if one.fate == POSED}
        if not new:
            self._keep(folder, posed)
            fates = dict(Counter(one.fate for one in posed).most_common())
            raise _empty_round(number, fates, "change pose")
        return posed, [problem for problem in drawn if problem.id in new]

    def _asked(self, problem: Problem) -> dict[str, object]:
        """A line of `problems.jsonl`: the gold answer only where it is what checks."""
        gold = problem.answer if self.config.check.by == "verifier" else ""
        return {**problem.metadata, "id": problem.id, "question": problem.question, "answer": gold}

    def _keep(self, folder: Path, posed: Sequence[PosedProblem]) -> None:
        write_jsonl(folder / POSED_FILE, (one.as_row() for one in posed))

    def _train(
        self, number: int, records: Sequence[RoundRecord], model: ModelConfig, seconds: dict[str, float]
    ) -> ModelConfig:
        """SFT on the kept answers; the model that it makes."""
        is_from_base = self.config.train.start_from == "base"
        numbers = [*(taken_before(records) if is_from_base else ()), number]
        files = [plan.round_folder(self.config, one) / "traces.jsonl" for one in numbers]
        data = plan.round_folder(self.config, number) / "train.jsonl"
        write_jsonl(data, (row for file in files for row in read_jsonl(file)))
        step = plan.train(self.config, number, data, self.config.model if is_from_base else model)
        seconds["train"] = self._run(step)
        return self._model_in(step.folder)

    def _model_of(self, record: RoundRecord) -> ModelConfig:
        """The model that a round left; round 0 is the recipe's own."""
        if record.number == 0:
            return self.config.model
        return self._model_in(plan.round_folder(self.config, record.number) / "sft")

    def _model_in(self, folder: Path) -> ModelConfig:
        """What a training made: an adapter, or a whole model where every weight was trained."""
        if (folder / "adapter").is_dir():
            return plan.with_adapter(self.config.model, folder / "adapter")
        return self.config.model.model_copy(update={"name": str(folder / "model"), "adapter": None})

    def _measured(self, number: int) -> list[Sample]:
        return read_samples(plan.round_folder(self.config, number) / "eval" / "samples.jsonl")

    def _finish(self, reason: str) -> None:
        """Say what came of it, on the screen, in `summary.json` and on the page."""
        records = read_rounds(self.run.path)
        best = last_taken(records)
        figures: dict[str, object] = {"rounds": records[-1].number, "stopped": reason, "best_round": best.number}
        figures |= {"model": best.model, "before": records[0].accuracy, "after": best.accuracy}
        if best.number:
            whole = decide(self._measured(0), self._measured(best.number), 1, 0).gain
            figures |= {"gain": whole.difference.as_dict(), "p": whole.p}
        self.run.add_summary(**figures)
        report = write_self_improvement_report(self.run.path)
        print(f"ended: {reason}")
        print(f"held-out: {percent_interval(records[0].accuracy)} → {percent_interval(best.accuracy)}")
        print(f"best: round {best.number}, {best.model or self.config.model.name}\nreport: {report}")


def _empty_round(number: int, fates: Mapping[str, int], way_out: str) -> EmptyRound:
    """Nothing to train on: what became of all that was posed."""
    told = _listed(fates) or "nothing"
    return EmptyRound(f"round {number}: nothing to train on, of what was posed: {told}; {way_out}, and --resume")


def _listed(fates: Mapping[str, int]) -> str:
    """ "120 trivial, 30 kept": kept first."""
    ordered = sorted(fates.items(), key=lambda item: item[0] != KEPT)
    return ", ".join(f"{count:,} {fate}" for fate, count in ordered)
