"""A training that is watched: held-out problems measured every so many steps, and the best weights kept.

Measured are the first `eval.watched` of the held-out problems, as before and after training: greedy and avg@k, by the
same engine and grader, with the same seeds, so that all points are paired. Best are the weights whose `eval.metric` is
the highest, the earlier of equal ones; those from before training count too. They are what the run saves in the end.

The best of several noisy figures is too high an estimate of itself. So the end of a run says how those weights do on
the held-out problems that were not watched, where there are any.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from configs.errors import DataError
from configs.sample import Sample, read_samples
from configs.schema.training import HeldOutConfig, TrainingConfig
from data.problem import Problem
from evaluation.metrics import Interval
from training.fsdp_internals import whole_weights
from training.heldout import FIELDS, Measure, figures_of, measure, paired_changes, samples_on
from training.run_callback import RunCallback
from training.sigterm import Interrupt
from training.together import failing_together
from training.trainer_internals import callbacks_of, load_weights, log_with_step, save_weights

POINTS = ("greedy", "avg_at_k")


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured so far; a checkpoint keeps it.

    `last`: the step of the latest measurement, and its `seconds`. `best`: the figure at `best_step`, {value, low, high,
    n, …}; None before the first. `waited`: measurements since then, which did not reach more. `by`: metric, problems
    and samples a problem, for figures of others can't be compared.
    """

    last: int = -1
    seconds: float = 0.0
    best_step: int | None = None
    best: dict[str, float] = field(default_factory=dict)
    waited: int = 0
    by: list[Any] = field(default_factory=list)

    def and_then(self, step: int, figure: Mapping[str, float], seconds: float) -> "Found":
        """With one more measurement."""
        seen = replace(self, last=step, seconds=seconds or self.seconds)
        if self.best_step is None or figure["value"] > self.best["value"] + 1e-9:
            return replace(seen, best_step=step, best=dict(figure), waited=0)
        return replace(seen, waited=self.waited + 1)


class Watch(TrainerCallback, ExportableState):  # type: ignore[misc] # transformers is not typed here
    """Measures the model in training, keeps its best weights, and ends training when patience is spent.

    The main process measures, the others wait. `has_start`: whether the weights before training are those that were
    measured before it, so that they may be the best; a fresh prefix, which stands in the base model's way, is not.
    """

    def __init__(self, trainer: Trainer, measured: Measure, has_start: bool = True) -> None:
        config = measured.config.eval
        assert config is not None
        self.config: HeldOutConfig = config
        self.trainer, self.measured, self.has_start = trainer, measured, has_start
        self.problems = measured.problems[: config.watched]
        self.rows = next(c for c in callbacks_of(trainer.callback_handler) if isinstance(c, RunCallback))
        self.checkpoints = Path(trainer.args.output_dir)
        self.found = Found(by=[self.config.metric, len(self.problems), self.config.k])

    @property
    def name(self) -> str:
        """What the metric is called."""
        return "greedy" if self.config.metric == "greedy" else f"avg@{self.config.k}"

    @property
    def is_over(self) -> bool:
        """Whether patience is spent."""
        return self.config.patience is not None and self.found.waited >= self.config.patience

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return asdict(self.found)

    def restore(self, state: TrainerState) -> None:
        """Go on with what a checkpoint knows; best weights that are gone can't be the best."""
        saved = Found(**state.stateful_callbacks.get(type(self).__name__, {}))
        if saved.by != self.found.by:
            if saved.by:
                print("warned  eval: another metric or other problems than before; earlier weights are not the best")
            return
        self.found = saved
        best = self.found.best_step
        if best is not None and not self._folder(best).is_dir():
            print(f"warned  eval.every: {self._folder(best)}, the best weights so far, is gone; later ones are kept")
            self.found = replace(self.found, best_step=None, best={}, waited=0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Measure what training starts from, or the step after which an earlier life of the run could not."""
        if self.is_missing(state.global_step, state.max_steps):
            row = self.look(state.global_step)
            if state.is_world_process_zero:
                self.trainer.log(row)
            control.should_training_stop = self.is_over
        self._count_on(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Measure after every so many steps and after the last, with a row of the step's figures."""
        if not self.is_missing(state.global_step, state.max_steps):
            return
        if state.global_step < state.max_steps and self._is_ending():
            return  # the step is saved first, and measured when the run goes on
        row = self.look(state.global_step)
        if state.is_world_process_zero:
            log_with_step(self.trainer, row)
        self._count_on(state)
        control.should_log = True
        if self.is_over and state.global_step < state.max_steps:
            control.should_training_stop = True
            if state.is_world_process_zero:
                print(f"stopped after step {state.global_step}: {self.found.waited} measurements without a better one")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Remove weights that no checkpoint to go on from calls the best any more."""
        if state.is_world_process_zero and self.found.best_step is not None:
            for folder in self.checkpoints.glob("best-*"):
                if folder != self._folder(self.found.best_step):
                    shutil.rmtree(folder)

    def is_missing(self, step: int, steps: int) -> bool:
        """Whether step `step` of `steps` is to be measured, and is not yet."""
        return self.config.is_due(step, steps) and self.found.last != step

    def _is_ending(self) -> bool:
        """Whether a SIGTERM has come, to any process."""
        callbacks = callbacks_of(self.trainer.callback_handler)
        ending = any(callback.is_ending for callback in callbacks if isinstance(callback, Interrupt))
        return any(gather_object([ending])) if PartialState().num_processes > 1 else ending

    def look(self, step: int) -> dict[str, float]:
        """Measure and keep the weights if they are the best; returns figures for the step's row. By all processes."""
        # 1. one process measures
        row: dict[str, float] = {}
        found = self.found
        with whole_weights(self.trainer.model), failing_together():
            samples, seconds = self._samples(step) if PartialState().is_main_process else ([], 0.0)
        if PartialState().is_main_process:
            figures = figures_of(samples, self.config.k)
            if step or self.has_start:
                found = found.and_then(step, figures[self.config.metric], seconds)
            else:
                found = replace(found, last=step)
            row = _row(figures, seconds)
            self.rows.notes.append(self._said(figures[self.config.metric], found, seconds))

        # 2. all know what was found; the weights are on the disk before a checkpoint names them
        [row, found] = broadcast_object_list([row, found])
        if found.best_step == step:
            self._keep_weights(step)
        self.found = found
        return row

    def load_best(self) -> None:
        """Put the best weights into the model; print, and write to the summary, which they are. By all processes."""
        step, steps = self.found.best_step, self.trainer.state.global_step
        if step is None:
            print("warned  eval.every: nothing was measured while training; the last weights are saved")
            return
        load_weights(self.trainer, str(self._folder(step)))
        if not PartialState().is_main_process:
            return
        best = {"best_step": step, f"best_{self.config.metric}": self.found.best}
        self.measured.run.add_summary(**best, watched=len(self.problems))
        if step == 0:
            kind = "adapter" if hasattr(self.trainer.model, "peft_config") else "model"
            print(
                "warned  training did not help: no measurement reached more than the one before it; "
                f"the {kind} that is saved is the one it started from"
            )
        print(
            f"best: {self.name} {_interval(self.found.best)} at step {step} of {steps}: these weights are saved; the "
            "figure is optimistic, as they were chosen by it"
        )

    def report_unwatched(self) -> None:
        """After training is measured: print and write the figures on the held-out problems that chose nothing."""
        rest, k = slice(len(self.problems), None), self.config.k
        stores = {when: self.measured.store(when).path for when in ("before", "after")}
        if len(self.problems) == len(self.measured.problems) or not stores["after"].is_file():
            return
        samples = {when: samples_on(read_samples(path), k, rest) for when, path in stores.items() if path.is_file()}
        if not samples["after"]:  # of a resumed run whose held-out problems are others now
            return
        figure = figures_of(samples["after"], k)[self.config.metric]
        summary = {f"{self.config.metric}_unwatched": figure}
        said = f"on the {figure['n']} held-out problems that were not watched: {self.name} {_interval(figure)}"
        change = "greedy_change" if self.config.metric == "greedy" else "avg_at_k_change"
        if gained := paired_changes(samples.get("before", []), samples["after"]).get(change):
            summary[f"{self.config.metric}_unwatched_change"] = gained.as_dict()
            said += f", paired change {gained}"
        self.measured.run.add_summary(**summary)
        print(said)

    def _samples(self, step: int) -> tuple[list[Sample], float]:
        """The samples of one measurement and the seconds it took; before training they may be there already."""
        if step == 0 and (known := self._samples_before()):
            return known, 0.0
        engine, config = self.measured.engine, self.measured.config
        assert engine is not None
        started = time.perf_counter()
        engine.follow(self.trainer.model)
        with self.rows.paused():
            _, samples = measure(engine, self.problems, self.config, config.sampling, config.seed)
        return samples, time.perf_counter() - started

    def _samples_before(self) -> list[Sample]:
        """Those on the watched problems that were made before training; none where others were asked, or otherwise."""
        path = self.measured.store("before").path
        samples = read_samples(path) if path.is_file() else []
        samples = samples_on(samples, self.config.k, slice(len(self.problems)))
        asked = [(sample.id, sample.question) for sample in samples if sample.point == "greedy"]
        is_same = asked == [(problem.id, problem.question) for problem in self.problems] and len(samples) == self._size
        return samples if is_same else []

    @property
    def _size(self) -> int:
        """How many samples one measurement has."""
        return len(self.problems) * (1 + self.config.k)

    def _keep_weights(self, step: int) -> None:
        """Write the weights to a folder that is renamed into place."""
        folder = self._folder(step)
        part = folder.with_name(f".{folder.name}.part")
        save_weights(self.trainer, str(part))
        if PartialState().is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        PartialState().wait_for_everyone()  # all may load them next

    def _folder(self, step: int) -> Path:
        return self.checkpoints / f"best-{step}"

    def _count_on(self, state: TrainerState) -> None:
        """Tell the progress line how long measuring still takes."""
        steps = range(state.global_step + 1, state.max_steps + 1)
        ahead = sum(self.config.is_due(step, state.max_steps) for step in steps)
        self.rows.seconds_apart = ahead * (self.found.seconds or self.measured.seconds_a_sample * self._size)

    def _said(self, figure: Mapping[str, float], found: Found, seconds: float) -> str:
        if found.best_step is None:
            return f"held-out {self.name} {_interval(figure)}"
        best = f"best {100 * found.best['value']:.1f}% at step {found.best_step}"
        best = "the best so far" if found.best_step == found.last else best
        return f"held-out {self.name} {_interval(figure)}, {best}" + (f" ({seconds:.1f} s)" if seconds else "")


def watch_training(trainer: Trainer, measured: Measure, has_start: bool = True) -> Watch | None:
    """Have `trainer` watched, where the recipe says so."""
    if measured.config.eval is None or not measured.config.eval.every:
        return None
    watch = Watch(trainer, measured, has_start)
    trainer.add_callback(watch)
    return watch


def watch_of(trainer: Trainer) -> Watch | None:
    """The trainer's `Watch`, where it is watched."""
    return next((c for c in callbacks_of(trainer.callback_handler) if isinstance(c, Watch)), None)


def check_watched(config: TrainingConfig, held_out: list[Problem]) -> None:
    """Raise `DataError` where nothing can be measured while training; warn where no step is left between."""
    every = config.eval.every if config.eval else 0
    if not every:
        return
    if not held_out:
        raise DataError("eval.every: no problem is held out, so nothing can be measured; name some with eval.data")
    steps = int(config.trl_setting("max_steps"))
    if 0 < steps < every:
        print(
            f"warned  eval.every: {every} is more than the {steps} steps, so only the first and the last are measured"
        )


def _row(figures: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """A measurement's figures in a row of `metrics.jsonl`, and on a tracker."""
    row = {"measure_seconds": round(seconds, 3)} if seconds else {}
    for point in POINTS:
        row[f"eval_{point}"] = figures[point]["value"]
        row |= {f"eval_{point}_{end}": figures[point][end] for end in ("low", "high")}
    return row


def _interval(figure: Mapping[str, float]) -> Interval:
    return Interval(**{name: figure[name] for name in FIELDS})  # type: ignore[arg-type] # n is whole, as JSON has it
