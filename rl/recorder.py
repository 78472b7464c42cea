"""What becomes of a scored batch: its completions are written down, and the alarms look at them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from configs.run_directory import RunDir, append_jsonl
from configs.sample import Sample
from rewards.composition import BrokenReward, Scores
from rewards.grading.grade import grade_answers
from rewards.rollout import Rollout
from rewards.shipped.correctness import answers_of
from rl.monitor import Limits, Monitor, stop_on, write_failure
from training.run_callback import RunCallback
from training.together import failing_together


@dataclass(frozen=True, slots=True)
class Scored:
    """One generation batch: rollouts with their scores and, once TRL has compared the groups, their advantages."""

    step: int
    rollouts: list[Rollout]
    scores: Scores
    totals: list[float | None]
    advantages: list[float]

    def sent(self) -> "Scored":
        """As it goes to another process: without environments, of which nobody knows what they hold."""
        return replace(self, rollouts=[replace(rollout, conversation=None) for rollout in self.rollouts])

    @classmethod
    def joined(cls, parts: Sequence["Scored"]) -> "Scored":
        """The batches of all processes as one."""
        return cls(
            parts[0].step,
            [rollout for part in parts for rollout in part.rollouts],
            {name: [score for part in parts for score in part.scores[name]] for name in parts[0].scores},
            [total for part in parts for total in part.totals],
            [advantage for part in parts for advantage in part.advantages],
        )


class Recorder(TrainerCallback, ExportableState):  # type: ignore[misc] # transformers is not typed here
    """Appends every scored batch to `rollouts.jsonl` and raises the alarms; the main process does it for all.

    What the alarms remember travels in the checkpoint's `trainer_state.json`.
    """

    def __init__(
        self, run: RunDir, callback: RunCallback, on_alarm: Literal["warn", "stop"], limits: Limits | None = None
    ) -> None:
        self.run, self.callback, self.on_alarm = run, callback, on_alarm
        self.monitor = Monitor(run / "alarms.jsonl", limits)

    def __call__(self, scored: Scored) -> None:
        """Raises `RewardError` for an alarm under `on_alarm: stop`."""
        gathered = numbered(gather_object(samples(scored)))
        everything = Scored.joined(gather_object([scored.sent()]))
        with failing_together():
            if PartialState().is_main_process:
                self._record(everything, gathered)

    def _record(self, scored: Scored, gathered: Sequence[Sample]) -> None:
        append_jsonl(self.run / "rollouts.jsonl", *(sample.to_row() for sample in gathered))
        alarms = self.monitor.observe(scored.step, scored.rollouts, scored.scores, scored.totals)
        self.callback.alarms += [str(alarm) for alarm in alarms]
        stop_on(alarms, self.on_alarm, self.run)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self.monitor.state()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """A resumed run's alarms go on where its checkpoint was; an older one's knows nothing of them."""
        self.monitor.restore(state.stateful_callbacks.get(type(self).__name__, {}))

    def broken(self, step: int, failure: BrokenReward) -> None:
        """Keep the sample that broke a reward; the run stops with the error itself."""
        write_failure(self.run / "alarms.jsonl", step, failure)


def samples(scored: Scored) -> list[Sample]:
    """A scored batch as samples of `rollouts.jsonl`, not yet numbered."""
    answers = answers_of(scored.rollouts)
    verdicts = grade_answers([rollout.problem for rollout in scored.rollouts], answers)
    return [
        Sample(
            id=rollout.problem.id,
            point="rollouts",
            question=rollout.problem.question,
            gold=rollout.problem.answer,
            references=rollout.problem.references,
            grader=rollout.problem.grader,
            text=rollout.earlier + rollout.text,
            forced=rollout.forced,
            tool_results=rollout.tool_results,
            extracted=answers[i],
            score=verdict.score,
            reason=verdict.reason,
            parts=dict(verdict.parts),
            stop=rollout.stop,
            finish="length" if rollout.truncated else "stop",
            completion_tokens=rollout.completion_tokens,
            max_thinking=rollout.max_thinking,
            thinking_tokens=rollout.thinking_tokens,
            answer_tokens=rollout.answer_tokens,
            prompt=rollout.prompt,
            step=scored.step,
            rewards={name: column[i] for name, column in scored.scores.items()},
            reward=scored.totals[i],
            advantage=scored.advantages[i],
        )
        for i, (rollout, verdict) in enumerate(zip(scored.rollouts, verdicts, strict=True))
    ]


def numbered(batch: Iterable[Sample]) -> list[Sample]:
    """The samples of a batch, those of one problem counted from 0."""
    counts: Counter[str] = Counter()
    found = []
    for sample in batch:
        found.append(replace(sample, sample=counts[sample.id]))
        counts[sample.id] += 1
    return found
