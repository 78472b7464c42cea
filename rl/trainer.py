"""The one thin subclass of TRL's `GRPOTrainer`: what a step does differently from TRL's.

    draw                 groups are drawn by our engine and scored (`rl.sampling`); advantages are recorded after, and
                         a teacher adds to them (`rl.teacher`)
    arrange              rows of a prompt come into one micro-batch (`rl.trl_batch`)
    loss                 rows that teach nothing are left out, where that is exact
    log_probabilities    a prompt is computed once for its completions (`rl.shared_prompts`), and what the sampling
                         drops is left out (`rl.truncation`)

Where these meet TRL's privates is `rl.trl_internals`. On the Unsloth backend TRL's class is Unsloth's, whose loss has
signatures of its own and shares prompts in its own way: there only `draw` does anything.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from configs.run_directory import RunDir, append_jsonl
from configs.sample import Sample
from models.teacher_forcing import Pair
from rewards.composition import BrokenReward, Scores
from rewards.grading.grade import grade_answers
from rewards.rollout import Rollout
from rewards.shipped.correctness import answers_of
from rl import shared_prompts, truncation
from rl.monitor import Limits, Monitor, stop_on, write_failure
from rl.sampling import GroupSampler
from rl.scoring import reward_functions
from rl.teacher import Teacher
from rl.trl_batch import TrlBatch, loss_mask, padded, regrouped, select_rows, teaches, trimmed
from rl.trl_internals import LogProbabilities, OpenGRPOTrainer, Row
from training.run_callback import RunCallback


@dataclass(frozen=True, slots=True)
class Scored:
    """One generation batch: rollouts with their scores and, once TRL has compared the groups, their advantages."""

    step: int
    rollouts: list[Rollout]
    scores: Scores
    totals: list[float | None]
    advantages: list[float]


class RolloutTrainer(OpenGRPOTrainer):
    """`GRPOTrainer` on the completions of `sampler`; every scored batch goes to `recorder`.

    `backend` is the loaded model's; `teacher`, where there is one, speaks of every token.
    """

    def __init__(
        self,
        *args: Any,
        sampler: GroupSampler,
        recorder: "Recorder",
        backend: str = "transformers",
        teacher: Teacher | None = None,
        **kwargs: Any,
    ) -> None:
        functions = reward_functions(sampler.scorer.rewards.names)
        super().__init__(*args, reward_funcs=functions, corrects_sampling=not sampler.is_exact, **kwargs)
        self.sampler, self.recorder, self.teacher = sampler, recorder, teacher
        self.is_unsloth = backend == "unsloth"
        self.add_callback(recorder)

    @property
    def skips_rows(self) -> bool:
        """Whether a row without an advantage adds nothing: no KL or entropy term, and a loss over the batch's tokens.

        One process only: the metrics are reduced over processes in every loss.
        """
        return (
            self.adds_up
            and self.beta == 0.0
            and self.loss_type in ("dapo", "cispo", "vespo")
            and self.accelerator.num_processes == 1
        )

    @property
    def adds_up(self) -> bool:
        """Whether an accumulation window's loss is the same whichever micro-batch a row is in."""
        return (
            not self.is_unsloth
            and self.loss_type != "bnpo"
            and not self.has_entropy_bonus
            and not self.aux_loss_enabled
            and self.top_entropy_quantile == 1.0
        )

    @property
    def truncates(self) -> bool:
        """Whether the loss has the log-probabilities of a truncated policy."""
        return bool(self.sampler.sampling.truncations) and truncation.in_loss(
            "unsloth" if self.is_unsloth else "transformers", self.args.use_liger_kernel
        )

    def shares_prompts(self, model: PreTrainedModel) -> bool:
        """Whether a prompt's completions can be computed in one row with it by `model`, the student or its teacher."""
        unusual = self.is_unsloth or self.use_liger_kernel or self.is_fsdp_enabled
        return not unusual and "logits_to_keep" in self.model_kwarg_keys and shared_prompts.can_pack(self._bare(model))

    def _bare(self, model: PreTrainedModel) -> PreTrainedModel:
        return self.accelerator.unwrap_model(model)

    def draw(self, rows: list[Row]) -> TrlBatch:
        """A generation: completions, scores and advantages for the steps that it is used for."""
        step = self.state.global_step + 1  # this batch trains the step that is about to be taken
        try:
            batch, figures = self.sampler.draw([row["problem"] for row in rows], self.model, self.state)
        except BrokenReward as failure:
            self.recorder.broken(step, failure)
            raise
        if self.sampler.sampling.truncations and not self.truncates:
            batch.generations = truncation.over_vocabulary(batch.generations, self.model, self.sampler.sampling)
        output = self.compare(batch.rows(self.sampler.prompts), batch.columns(self.sampler.is_budgeted))
        if not batch.scores:
            self.forget_metrics("reward", "frac_reward")
        if self.model.training:
            advantages = output["advantages"].tolist()
            self.recorder(Scored(step, batch.rollouts, batch.scores, batch.totals, advantages))
            if "tool_mask" in output:
                tokens = output["completion_mask"].sum().clamp(min=1)
                self.add_metric("forced_share", 1 - (loss_mask(output).sum() / tokens).item())
        if self.teacher:
            figures |= self.teacher.teach(batch, output, self.model, self.completion_logprobs)
        for name, value in figures.items():
            self.add_metric(name, value)
        return output

    def completion_logprobs(self, model: Any, pairs: Sequence[Pair]) -> list[torch.Tensor]:
        """(C,) of each (prompt ids, completion ids) as the loss has them; no more rows at a time than it trains on."""
        ids, mask, width = padded(pairs, self.processing_class.pad_token_id, self.accelerator.device)
        logps = self.log_probabilities(model, ids, mask, width, batch_size=self.args.per_device_train_batch_size)[0]
        return [row[: len(completion)] for row, (_, completion) in zip(logps, pairs, strict=True)]

    def arrange(self, batches: list[TrlBatch]) -> list[TrlBatch]:
        """Rows of a prompt side by side, where the loss doesn't ask which micro-batch a row is in."""
        if not self.model.training or not self.adds_up:
            return batches
        return regrouped(batches, min(self.current_gradient_accumulation_steps, self.args.steps_per_generation))

    def loss(self, model: PreTrainedModel, inputs: TrlBatch) -> torch.Tensor:
        """The loss of the rows that teach something."""
        if self.skips_rows and self.model.training:
            rows = teaches(inputs).nonzero()[:, 0]
            if not len(rows):  # a gradient of zero, not of None: the optimizer's momentum goes on as it would
                return torch.stack([p.sum() * 0.0 for p in model.parameters() if p.requires_grad]).sum()
            if len(rows) < len(inputs["advantages"]):
                inputs = select_rows(inputs, rows)
        return super().loss(model, trimmed(inputs))

    def log_probabilities(self, model: PreTrainedModel, *rows: Any, **options: Any) -> LogProbabilities:
        """Of every completion token; a prompt's completions in one row where the model can."""
        unusual = [value for name, value in options.items() if name not in ("batch_size", "compute_entropy")]
        if not self.shares_prompts(model) or any(value is not None and value is not False for value in unusual):
            return self._padded(model, *rows, **options)
        size, entropy = options.get("batch_size"), options.get("compute_entropy", False)
        return self._by_prompts(model, *rows, batch_size=size, compute_entropy=entropy)

    def _by_prompts(
        self,
        model: PreTrainedModel,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *,
        batch_size: int | None,
        compute_entropy: bool,
    ) -> LogProbabilities:
        """As `log_probabilities`, without an auxiliary loss; packed where that is cheaper than padding."""
        # 1. rows without padding: prompts are padded on the left, completions on the right
        prompts, completions = shared_prompts.without_padding(input_ids, attention_mask, logits_to_keep)

        # 2. so many rows at a time as TRL would take, each part the cheaper way
        size, width = batch_size or len(prompts), self._bare(model).config.hidden_size
        parts = []
        for start in range(0, len(prompts), size):
            rows = slice(start, start + size)
            if any(completions[rows]) and shared_prompts.is_cheaper(prompts[rows], completions[rows], width):
                pack = shared_prompts.pack(prompts[rows], completions[rows], input_ids.device)
                parts.append(self._packed(model, pack, (len(prompts[rows]), logits_to_keep), compute_entropy))
            else:
                padded = (input_ids[rows], attention_mask[rows], logits_to_keep)
                parts.append(self._padded(model, *padded, compute_entropy=compute_entropy)[:2])

        # 3. in one tensor again
        entropies = torch.cat([part[1] for part in parts if part[1] is not None]) if compute_entropy else None
        return torch.cat([part[0] for part in parts]), entropies, None

    def _padded(self, model: PreTrainedModel, *rows: Any, **options: Any) -> LogProbabilities:
        """As TRL has them, of what is sampled."""
        bare, sampling = self._bare(model), self.sampler.sampling
        with truncation.truncated(bare, sampling) if self.truncates else nullcontext():
            return super().log_probabilities(model, *rows, **options)

    def _packed(
        self, model: PreTrainedModel, pack: shared_prompts.Pack, shape: tuple[int, int], entropy: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Log-probabilities and entropies (B, T) of packed rows, 0.0 at padding."""
        logits = model(
            input_ids=pack.ids,
            attention_mask=pack.mask,
            position_ids=pack.positions,
            logits_to_keep=pack.source,
            use_cache=False,
        ).logits
        if self.truncates:
            logits = truncation.drop(logits, pack.target[None], self.sampler.sampling)
        values = self.of_logits(logits[0], pack.target, entropy)
        logps, *rest = (value.new_zeros(shape).index_put((pack.row, pack.column), value) for value in values)
        return logps, rest[0] if rest else None


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
        if not PartialState().is_main_process:
            return
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
            text=rollout.text,
            forced=rollout.forced,
            extracted=answers[i],
            score=verdict.score,
            reason=verdict.reason,
            parts=dict(verdict.parts),
            stop=rollout.stop,
            finish="length" if rollout.truncated else "stop",
            completion_tokens=rollout.completion_tokens,
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
