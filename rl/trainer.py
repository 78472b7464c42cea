"""The one thin subclass of TRL's `GRPOTrainer`: what a step does differently from TRL's.

    draw                 groups are drawn by our engine and scored (`rl.sampling`); advantages are recorded after, and
                         a teacher adds to them (`rl.teacher`)
    arrange              rows of a prompt come into one micro-batch, which is cut by tokens (`rl.trl_batch`)
    loss                 rows that teach nothing are left out, where that is exact
    log_probabilities    without the logits of all tokens, without padding, and a prompt once for its completions
                         (`rl.completion_logprobs`); what the sampling drops is left out (`rl.truncation`)

Where these meet TRL's privates is `rl.trl_internals`. On the Unsloth backend TRL's class is Unsloth's, whose loss has
signatures of its own and shares prompts in its own way: there only `draw` does anything.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel

from models.packed_attention import can_pack, take_packed_rows
from models.teacher_forcing import Pair
from models.token_logprobs import Entropies, Head
from rewards.composition import BrokenReward
from rl import truncation
from rl.completion_logprobs import PaddedRows, Scoring, completion_logprobs
from rl.recorder import Recorder, Scored
from rl.sampling import COUNTS, GroupSampler
from rl.scoring import reward_functions
from rl.teacher import Teacher
from rl.trl_batch import TrlBatch, loss_mask, padded, regrouped, select_rows, teaches, trimmed
from rl.trl_internals import LogProbabilities, OpenGRPOTrainer, Row
from training.together import failing_together, of_all_processes


class RolloutTrainer(OpenGRPOTrainer):
    """`GRPOTrainer` on the completions of `sampler`; every scored batch goes to `recorder`.

    `backend` is the loaded model's; `teacher`, where there is one, speaks of every token.
    """

    def __init__(
        self,
        *args: Any,
        sampler: GroupSampler,
        recorder: Recorder,
        backend: str = "transformers",
        teacher: Teacher | None = None,
        **kwargs: Any,
    ) -> None:
        functions = reward_functions(sampler.scorer.rewards.names)
        super().__init__(*args, reward_funcs=functions, corrects_sampling=not sampler.is_exact, **kwargs)
        self.sampler, self.recorder, self.teacher = sampler, recorder, teacher
        self.is_unsloth = backend == "unsloth"
        self._scorings: dict[PreTrainedModel, Scoring | None] = {}
        self.add_callback(recorder)

    @property
    def skips_rows(self) -> bool:
        """Whether a row without an advantage adds nothing: no KL or entropy term, and a loss over the batch's tokens.

        One process only: the metrics are reduced over processes in every loss.
        """
        alone = self.accelerator.num_processes == 1 and not self.is_fsdp_enabled
        return self.sums_tokens and self.beta == 0.0 and alone

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
    def sums_tokens(self) -> bool:
        """Whether that loss is a sum over tokens, however many rows a micro-batch has."""
        return self.adds_up and self.loss_type in ("dapo", "cispo", "vespo")

    @property
    def truncates(self) -> bool:
        """Whether the loss has the log-probabilities of a truncated policy."""
        return bool(self.sampler.sampling.truncations) and truncation.in_loss(
            "unsloth" if self.is_unsloth else "transformers", self.args.use_liger_kernel
        )

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
        output = self.compare(batch.rows(), batch.columns(self.sampler.config.rollout.forces_tokens))
        if not batch.scores:
            self.forget_metrics("reward", "frac_reward")
        if self.model.training:
            advantages = output["advantages"].tolist()
            self.recorder(Scored(step, batch.rollouts, batch.scores, batch.totals, advantages))
            if "tool_mask" in output:
                tokens = output["completion_mask"].sum().clamp(min=1)
                figures["forced_share"] = 1 - (loss_mask(output).sum() / tokens).item()
        if self.teacher:
            with failing_together():
                figures |= self.teacher.teach(batch, output, self.model, self.completion_logprobs)
        for name, value in of_all_processes(figures, COUNTS).items():
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
        window = min(self.current_gradient_accumulation_steps, self.args.steps_per_generation)
        return regrouped(batches, window, by_tokens=self.sums_tokens)

    def loss(self, model: PreTrainedModel, inputs: TrlBatch) -> torch.Tensor:
        """The loss of the rows that teach something."""
        if self.skips_rows and self.model.training:
            rows = teaches(inputs).nonzero()[:, 0]
            if not len(rows):  # a gradient of zero, not of None: the optimizer's momentum goes on as it would
                return torch.stack([p.sum() * 0.0 for p in model.parameters() if p.requires_grad]).sum()
            if len(rows) < len(inputs["advantages"]):
                inputs = select_rows(inputs, rows)
        return super().loss(model, trimmed(inputs))

    def scoring(self, model: PreTrainedModel) -> Scoring | None:
        """How log-probabilities of `model`, the student or its teacher, are taken without logits.

        None where TRL, or Unsloth, has to take them its own way.
        """
        bare = self._bare(model)
        if bare not in self._scorings:
            with self.accelerator.autocast():
                self._scorings[bare] = self._scoring_of(bare)
            torch.clear_autocast_cache()  # what was cast while it looked has no gradient
        return self._scorings[bare]

    def _scoring_of(self, bare: PreTrainedModel) -> Scoring | None:
        is_sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        if self.is_unsloth or self.use_liger_kernel or is_sharded or (head := Head.of(bare)) is None:
            return None
        takes_places = "logits_to_keep" in self.model_kwarg_keys
        if packs := takes_places and can_pack(bare):
            take_packed_rows(bare)
        return Scoring(
            head=head,
            temperature=self.temperature,
            drop=partial(truncation.drop, sampling=self.sampler.sampling) if self.truncates else None,
            takes_places=takes_places,
            can_pack=packs,
        )

    def log_probabilities(self, model: PreTrainedModel, *rows: Any, **options: Any) -> LogProbabilities:
        """Of every completion token, without the logits of all; what TRL alone can do is left to it."""
        unusual = [value for name, value in options.items() if name not in ("batch_size", "compute_entropy")]
        scoring = self.scoring(model)
        if scoring is not None and all(value is None or value is False for value in unusual):
            with self.accelerator.autocast():  # the head runs outside the model's forward pass, which has it already
                return self._without_logits(model, scoring, PaddedRows(*rows), **options)
        with truncation.truncated(self._bare(model), self.sampler.sampling) if self.truncates else nullcontext():
            return super().log_probabilities(model, *rows, **options)

    def _without_logits(
        self,
        model: PreTrainedModel,
        scoring: Scoring,
        rows: PaddedRows,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: object,
    ) -> LogProbabilities:
        entropies: Entropies = "none" if not compute_entropy else "gradient" if self.has_entropy_bonus else "value"
        parts = rows.split(batch_size or len(rows.ids))
        found = [completion_logprobs(model, part, scoring, entropies) for part in parts]
        logps, entropy = zip(*found, strict=True)
        return torch.cat(logps), torch.cat(entropy) if compute_entropy else None, None
