"""The one thin subclass of TRL's `GRPOTrainer`, and the only place that overrides what TRL keeps private.

TRL is handed rewards and rollouts through its public interface. Overridden are

    _generate_and_score_completions      groups are drawn and scored first (`rl.sampling`), advantages recorded after
    _prepare_inputs                      rows of a prompt come into one micro-batch (`rl.trl_batch`)
    _compute_loss                        rows that teach nothing are left out, where that is exact
    _get_per_token_logps_and_entropies   a prompt is computed once for its completions (`rl.shared_prompts`)

Pinned to TRL 1.14.2 by `tests/rl/test_trainer.py`, `tests/rl/test_shared_prompts.py` and
`tests/rl/test_pinned_sources.py`.

On the Unsloth backend TRL's class is Unsloth's, whose loss calls these methods by its own signatures and shares prompts
in its own way: there only the first override does anything.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState
from trl import GRPOTrainer
from trl.trainer.utils import selective_log_softmax, selective_log_softmax_and_entropy

from configs.run_directory import RunDir, append_jsonl
from configs.sample import Sample
from rewards.composition import BrokenReward, Scores
from rewards.grading.grade import extracted_answers
from rewards.rollout import Rollout
from rewards.shipped.correctness import judged
from rl import shared_prompts
from rl.monitor import Monitor, stop_on, write_failure
from rl.sampling import GroupSampler
from rl.scoring import RolloutScorer
from rl.trl_batch import Batch, loss_mask, regrouped, select, teaches, trimmed
from training.trainer import RunCallback


@dataclass(frozen=True, slots=True)
class Scored:
    """One generation batch: rollouts with their scores and, once TRL has compared the groups, their advantages."""

    step: int
    rollouts: list[Rollout]
    scores: Scores
    totals: list[float | None]
    advantages: list[float]


class RolloutTrainer(GRPOTrainer):  # type: ignore[misc] # TRL is not typed
    """`GRPOTrainer` that hands every scored batch to `recorder`; `backend` is the loaded model's."""

    _buffered_inputs: list[Batch] | None

    def __init__(
        self,
        *args: Any,
        scorer: RolloutScorer,
        recorder: "Recorder",
        sampler: GroupSampler | None = None,
        backend: str = "transformers",
        **kwargs: Any,
    ) -> None:
        take = {} if sampler is None else {"rollout_func": sampler.take}
        super().__init__(*args, reward_funcs=scorer.functions(), **take, **kwargs)
        self.scorer, self.recorder, self.sampler = scorer, recorder, sampler
        if sampler is not None and not sampler.is_exact:
            self.use_vllm = True  # set this late it starts nothing: TRL corrects for what our engine drew differently
        self.is_unsloth = backend == "unsloth"
        scorer.max_tokens = self.args.max_completion_length
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
            and not self._entropy_bonus_enabled
            and not self.aux_loss_enabled
            and self.top_entropy_quantile == 1.0
        )

    @property
    def shares_prompts(self) -> bool:
        """Whether a prompt's completions can be computed in one row with it."""
        unusual = self.is_unsloth or self.use_liger_kernel or self.is_fsdp_enabled
        return not unusual and "logits_to_keep" in self.model_kwarg_keys and shared_prompts.can_pack(self._bare_model)

    @property
    def _bare_model(self) -> Any:
        return self.accelerator.unwrap_model(self.model)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        drawn = self._buffered_inputs
        if not self.model.training or drawn is None or drawn is before or not self.adds_up:
            return inputs
        window = min(self.current_gradient_accumulation_steps, self.args.steps_per_generation)
        self._buffered_inputs = drawn = regrouped(drawn, window)
        return drawn[self._step % self.args.steps_per_generation]

    def _compute_loss(self, model: Any, inputs: Batch) -> Any:
        if self.skips_rows and self.model.training:
            rows = teaches(inputs).nonzero()[:, 0]
            if not len(rows):  # a gradient of zero, not of None: the optimizer's momentum goes on as it would
                return torch.stack([p.sum() * 0.0 for p in model.parameters() if p.requires_grad]).sum()
            if len(rows) < len(inputs["advantages"]):
                inputs = select(inputs, rows)
        return super()._compute_loss(model, trimmed(inputs))

    def _get_per_token_logps_and_entropies(self, model: Any, *rows: Any, **options: Any) -> Any:
        unusual = [value for name, value in options.items() if name not in ("batch_size", "compute_entropy")]
        if not self.shares_prompts or any(value is not None and value is not False for value in unusual):
            return super()._get_per_token_logps_and_entropies(model, *rows, **options)
        size, entropy = options.get("batch_size"), options.get("compute_entropy", False)
        return self._by_prompts(model, *rows, batch_size=size, compute_entropy=entropy)

    def _by_prompts(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *,
        batch_size: int | None,
        compute_entropy: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Log-probabilities and entropies (B, T), and no auxiliary loss; packed where that is cheaper than padding."""
        plain = super()._get_per_token_logps_and_entropies
        ids, mask = ((t[:, :-logits_to_keep], t[:, -logits_to_keep:]) for t in (input_ids, attention_mask))
        prompts, completions = (shared_prompts.unpadded(*pair) for pair in zip(ids, mask, strict=True))
        size = batch_size or len(prompts)
        parts = []
        for at in range(0, len(prompts), size):
            rows = slice(at, at + size)
            if any(completions[rows]) and shared_prompts.is_cheaper(
                prompts[rows], completions[rows], self._bare_model.config.hidden_size
            ):
                packed = shared_prompts.pack(prompts[rows], completions[rows], input_ids.device)
                parts.append(self._packed(model, packed, (len(prompts[rows]), logits_to_keep), compute_entropy))
            else:
                found = plain(
                    model, input_ids[rows], attention_mask[rows], logits_to_keep, compute_entropy=compute_entropy
                )
                parts.append(found[:2])
        entropies = torch.cat([part[1] for part in parts]) if compute_entropy else None
        return torch.cat([part[0] for part in parts]), entropies, None

    def _packed(
        self, model: Any, packed: shared_prompts.Pack, shape: tuple[int, int], entropy: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Log-probabilities and entropies (B, T) of packed rows, 0.0 at padding, by TRL's own functions."""
        logits = model(
            input_ids=packed.ids,
            attention_mask=packed.mask,
            position_ids=packed.positions,
            logits_to_keep=packed.source,
            use_cache=False,
        ).logits
        found: tuple[torch.Tensor, ...]
        if entropy:
            bonus = self._entropy_bonus_enabled
            found = selective_log_softmax_and_entropy(logits, packed.target[None], bonus, temperature=self.temperature)
        else:
            found = (selective_log_softmax(logits, packed.target[None], temperature=self.temperature),)
        where = (packed.row, packed.column)
        logps, *rest = (value.new_zeros(shape).index_put(where, value[0]) for value in found)
        return logps, rest[0] if rest else None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        step = self.state.global_step + 1  # this batch trains the step that is about to be taken
        try:
            if self.sampler is not None:
                inputs = self._drawn(self.sampler, inputs)
            output = super()._generate_and_score_completions(inputs)
        except BrokenReward as failure:
            self.recorder.broken(step, failure)
            raise
        if self.model.training:
            scorer = self.scorer
            totals = scorer.rewards.totals(scorer.scores)
            advantages = output["advantages"].tolist()
            self.recorder(Scored(step, scorer.rollouts, scorer.scores, totals, advantages))
            if "tool_mask" in output:
                shown = output["completion_mask"].sum().clamp(min=1)
                self._metrics["train"]["forced_share"].append(1 - (loss_mask(output).sum() / shown).item())
        return dict(output)

    def _drawn(self, sampler: GroupSampler, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows that `sampler` decided on."""
        self._last_loaded_step = self.state.global_step  # TRL has no vLLM of its own to load weights into
        problems, figures = sampler.draw([row["problem"] for row in inputs], self.model, self.state)
        for name, value in figures.items():
            self._metrics["train"][name].append(value)
        return [{"prompt": sampler.prompts[at], "problem": at} for at in problems]


class Recorder(TrainerCallback, ExportableState):  # type: ignore[misc] # transformers is not typed here
    """Appends every scored batch to `rollouts.jsonl` and raises the alarms; the main process does it for all.

    What the alarms remember travels in the checkpoint's `trainer_state.json`.
    """

    def __init__(self, run: RunDir, callback: RunCallback, on_alarm: Literal["warn", "stop"]) -> None:
        self.run, self.callback, self.on_alarm = run, callback, on_alarm
        self.monitor = Monitor(run / "alarms.jsonl")

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

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A resumed run's alarms go on where its checkpoint was; an older one's knows nothing of them."""
        self.monitor.restore(state.stateful_callbacks.get(type(self).__name__, {}))

    def broken(self, step: int, failure: BrokenReward) -> None:
        """Keep the sample that broke a reward; the run stops with the error itself."""
        write_failure(self.run / "alarms.jsonl", step, failure)


def samples(scored: Scored) -> list[Sample]:
    """A scored batch as samples of `rollouts.jsonl`, not yet numbered."""
    return [
        Sample(
            id=rollout.problem.id,
            point="rollouts",
            question=rollout.problem.question,
            gold=rollout.problem.answer,
            grader=rollout.problem.grader,
            text=rollout.text,
            forced=rollout.forced,
            extracted=extracted_answers([rollout.problem], [rollout.text], rollout.think_format)[0],
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
        for i, (rollout, verdict) in enumerate(zip(scored.rollouts, judged(scored.rollouts), strict=True))
    ]


def numbered(batch: Iterable[Sample]) -> list[Sample]:
    """The samples of a batch, those of one problem counted from 0."""
    counts: Counter[str] = Counter()
    found = []
    for sample in batch:
        found.append(replace(sample, sample=counts[sample.id]))
        counts[sample.id] += 1
    return found
