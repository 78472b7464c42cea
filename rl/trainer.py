"""The one thin subclass of TRL's `GRPOTrainer`: it sees each batch of completions once, with special tokens kept.

TRL is handed rewards and rollouts through its public interface. What is overridden: where TRL keeps advantages to
itself (`_generate_and_score_completions`), and where it computes rows that teach nothing (`_compute_loss`). Pinned to
TRL 1.14.2 by `tests/rl/test_trainer.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from trl import GRPOTrainer

from configs.rundir import RunDir, append_jsonl
from data.problem import Problem
from data.think import ThinkFormat
from models.engine import decode, parts_of
from models.training import RunCallback
from rewards.composition import BrokenReward, RewardSet, Scores
from rewards.extract import extract
from rewards.rollout import Rollout
from rl.monitor import Monitor, stop_on, write_failure

PER_TOKEN = (
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "old_per_token_logps",
    "sampling_per_token_logps",
    "ref_per_token_logps",
    "importance_sampling_ratio",
)
"""What TRL's batch holds for each completion token, (B, T)."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One generation batch: rollouts with their scores and, once TRL has compared the groups, their advantages."""

    step: int
    rollouts: list[Rollout]
    scores: Scores
    totals: list[float | None]
    advantages: list[float]


class RolloutScorer:
    """TRL-style reward functions, one a reward, over one shared scoring of the batch."""

    def __init__(
        self,
        rewards: RewardSet,
        problems: Sequence[Problem],
        tokenizer: Any,
        think_format: ThinkFormat,
        eos: Sequence[int],
    ) -> None:
        self.rewards, self.problems = rewards, problems
        self.tokenizer, self.think_format, self.eos = tokenizer, think_format, eos
        self.max_tokens: int | None = None
        self.rollouts: list[Rollout] = []
        self.scores: Scores = {}

    def functions(self) -> list[Callable[..., list[float | None]]]:
        """What `GRPOTrainer(reward_funcs=…)` takes; TRL calls them in order, so the first one scores the batch."""
        return [self._function(name) for name in self.rewards.names]

    def _function(self, name: str) -> Callable[..., list[float | None]]:
        def reward(
            prompts: list[str], completion_ids: list[list[int]], problem: list[int], trainer_state: Any, **_: Any
        ) -> list[float | None]:
            if name == self.rewards.names[0]:
                rows = zip(prompts, completion_ids, problem, strict=True)
                self.rollouts = [self.rollout(prompt, ids, self.problems[at]) for prompt, ids, at in rows]
                self.scores = self.rewards.score(self.rollouts, trainer_state)
            return self.scores[name]

        reward.__name__ = name
        return reward

    def rollout(self, prompt: str, ids: list[int], problem: Problem) -> Rollout:
        """Completion ids (T,) as rewards see them."""
        ended = bool(ids) and ids[-1] in self.eos
        thought, answer_at = parts_of(ids[: len(ids) - ended], self.tokenizer, self.think_format)
        return Rollout(
            problem=problem,
            text=self.think_format.prefill + decode(self.tokenizer, ids),
            think_format=self.think_format,
            prompt=prompt,
            completion_ids=tuple(ids),
            completion_tokens=len(ids),
            thinking_tokens=thought,
            answer_tokens=len(ids) - ended - answer_at,
            max_tokens=self.max_tokens,
            truncated=not ended,
        )


class RolloutTrainer(GRPOTrainer):  # type: ignore[misc] # TRL is not typed
    """`GRPOTrainer` that hands every scored batch to `recorder`."""

    def __init__(self, *args: Any, scorer: RolloutScorer, recorder: "Recorder", **kwargs: Any) -> None:
        super().__init__(*args, reward_funcs=scorer.functions(), **kwargs)
        self.scorer, self.recorder = scorer, recorder
        scorer.max_tokens = self.args.max_completion_length

    @property
    def skips_rows(self) -> bool:
        """Whether a row without an advantage adds nothing: no KL or entropy term, and a loss over the batch's tokens.

        One process only: the metrics are reduced over processes in every loss.
        """
        return (
            self.beta == 0.0
            and self.loss_type in ("dapo", "cispo", "vespo")
            and not self._entropy_bonus_enabled
            and not self.aux_loss_enabled
            and self.top_entropy_quantile == 1.0
            and self.accelerator.num_processes == 1
        )

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        if self.skips_rows and self.model.training:
            rows = inputs["advantages"].nonzero()[:, 0]
            if not len(rows):  # a gradient of zero, not of None: the optimizer's momentum goes on as it would
                return torch.stack([p.sum() * 0.0 for p in model.parameters() if p.requires_grad]).sum()
            if len(rows) < len(inputs["advantages"]):
                inputs = select(inputs, rows)
        return super()._compute_loss(model, trimmed(inputs))

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        step = self.state.global_step + 1  # this batch trains the step that is about to be taken
        try:
            output = super()._generate_and_score_completions(inputs)
        except BrokenReward as failure:
            self.recorder.broken(step, failure)
            raise
        if self.model.training:
            scorer = self.scorer
            totals = scorer.rewards.totals(scorer.scores)
            advantages = output["advantages"].tolist()
            self.recorder(Scored(step, scorer.rollouts, scorer.scores, totals, advantages))
        return dict(output)


def select(inputs: dict[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    """The same batch with only `rows` of every tensor that has one entry a row."""
    size = len(inputs["advantages"])
    return {
        key: value[rows] if isinstance(value, torch.Tensor) and value.dim() and len(value) == size else value
        for key, value in inputs.items()
    }


def trimmed(inputs: dict[str, Any]) -> dict[str, Any]:
    """The same batch without columns that are padding in every row: left of the prompts, right of the completions."""
    width = inputs["completion_ids"].shape[1]
    prompt = int(inputs["prompt_mask"].sum(1).max())
    completion = int(inputs["completion_mask"].sum(1).max())
    cut = {key: inputs[key][:, -prompt:] for key in ("prompt_ids", "prompt_mask")}
    for key in PER_TOKEN:
        value = inputs.get(key)
        if isinstance(value, torch.Tensor) and value.dim() == 2 and value.shape[1] == width:
            cut[key] = value[:, :completion]
    return inputs | cut


class Recorder:
    """Appends every scored batch to `rollouts.jsonl` and raises the alarms; the main process does it for all."""

    def __init__(self, run: RunDir, callback: RunCallback, on_alarm: Literal["warn", "stop"]) -> None:
        self.run, self.callback, self.on_alarm = run, callback, on_alarm
        self.monitor = Monitor(run / "alarms.jsonl")

    def __call__(self, scored: Scored) -> None:
        """Raises `RunError` for an alarm under `on_alarm: stop`."""
        gathered = list(gather_object(rows(scored)))
        if not PartialState().is_main_process:
            return
        append_jsonl(self.run / "rollouts.jsonl", *gathered)
        alarms = self.monitor.observe(scored.step, scored.rollouts, scored.scores, scored.totals)
        self.callback.alarms += [str(alarm) for alarm in alarms]
        stop_on(alarms, self.on_alarm, self.run / "alarms.jsonl")

    def broken(self, step: int, failure: BrokenReward) -> None:
        """Keep the sample that broke a reward; the run stops with the error itself."""
        write_failure(self.run / "alarms.jsonl", step, failure)


def rows(scored: Scored) -> list[dict[str, Any]]:
    """A scored batch as rows of `rollouts.jsonl`."""
    return [
        {
            "step": scored.step,
            "id": rollout.problem.id,
            "question": rollout.problem.question,
            "prompt": rollout.prompt,
            "text": rollout.text,
            "gold": rollout.problem.answer,
            "extracted": extract(rollout.text, rollout.think_format).answer,
            "rewards": {name: column[i] for name, column in scored.scores.items()},
            "reward": scored.totals[i],
            "advantage": scored.advantages[i],
            "completion_tokens": rollout.completion_tokens,
            "thinking_tokens": rollout.thinking_tokens,
            "truncated": rollout.truncated,
        }
        for i, rollout in enumerate(scored.rollouts)
    ]
