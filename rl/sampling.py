"""Which completions a step trains on: groups that can teach nothing are drawn anew, on problems that still can.

GRPO compares the completions of one problem: a group with equal rewards has no advantage and adds no gradient. DAPO
(arXiv 2503.14476 §3.2) draws until the batch is full of others; here up to a bound, and what is left is counted.
"""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from configs.schema.grpo import GrpoConfig
from data.problem import Problem
from models.engines.base import Engine
from models.engines.generation import Generation
from rewards.composition import Scores
from rewards.rollout import Rollout
from rewards.shipped.correctness import is_correct
from rl.rollout import as_columns, make_generate
from rl.scoring import RolloutScorer

PRIOR = 2.0
"""How many tries of a problem the pass rate over all problems counts for."""


class Curriculum(TrainerCallback, ExportableState):  # type: ignore[misc] # transformers is not typed here
    """Pass rates seen, and how likely a problem's next group is to have both right and wrong completions.

    It travels in the checkpoint's `trainer_state.json`.
    """

    def __init__(self, problems: Sequence[Problem], group: int) -> None:
        self.number = {problem.id: at for at, problem in enumerate(problems)}
        self.passed = torch.zeros(len(problems))
        self.tried = torch.zeros(len(problems))
        self.group = group

    def see(self, rollouts: Sequence[Rollout]) -> None:
        """Count completions, of every process; those that could not be judged don't count."""
        pairs = zip(rollouts, is_correct(rollouts), strict=True)
        for at, right in gather_object([(self.number[r.problem.id], right) for r, right in pairs if right is not None]):
            self.tried[at] += 1
            self.passed[at] += right

    def chances(self) -> torch.Tensor:
        """(problems,) 1 − p^G − (1−p)^G, p being the pass rate, drawn towards the mean of all where little was seen."""
        mean = (self.passed.sum() + 1) / (self.tried.sum() + 2)
        rate = (self.passed + PRIOR * mean) / (self.tried + PRIOR)
        chances: torch.Tensor = 1 - rate**self.group - (1 - rate) ** self.group
        return chances

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        seen = self.tried.nonzero()[:, 0].tolist()
        return {"seen": [[at, int(self.passed[at]), int(self.tried[at])] for at in seen]}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A resumed run goes on with what its checkpoint knows."""
        for at, passed, tried in state.stateful_callbacks.get(type(self).__name__, {}).get("seen", []):
            self.passed[at], self.tried[at] = passed, tried


class GroupSampler:
    """Draws a step's completions and scores them, before TRL asks for either.

    `prompts[i]` is problem i's; `group` completions each, side by side; `config.rollout` says the rest.
    """

    def __init__(
        self,
        engine: Engine,
        config: GrpoConfig,
        scorer: RolloutScorer,
        prompts: Sequence[str],
        group: int,
        curriculum: Curriculum | None = None,
    ) -> None:
        self.generate, self.is_exact = make_generate(engine, config), engine.is_exact
        self.resamples, self.budgeted = config.rollout.resamples, config.rollout.budget is not None
        self.scorer, self.prompts, self.group, self.curriculum = scorer, prompts, group, curriculum
        self.ready: list[Generation] = []

    def draw(self, problems: Sequence[int], model: Any, state: Any) -> tuple[list[int], dict[str, float]]:
        """(the problem of each completion, figures for the metrics); completions and scores are ready then.

        `problems`: one entry a completion, as TRL's sampler has it. Raises `BrokenReward`.
        """
        chosen = list(problems[:: self.group])
        if self.curriculum is not None:
            chances = self.curriculum.chances()
            keep = torch.rand(len(chosen)) < chances[chosen] / chances.max().clamp(min=1e-9)
            chosen = self._replaced(chosen, [at for at, kept in enumerate(keep.tolist()) if not kept])
        made, rollouts, scores, totals = self._completions(chosen, model, state)
        seen = list(rollouts)
        known = [total for total in totals if total is not None]
        first = sum(known) / len(known) if known else 0.0
        redrawn = 0
        for _ in range(self.resamples):
            flat = self._flat(totals)
            if not flat:
                break
            redrawn += len(flat)
            chosen = self._replaced(chosen, flat)
            fresh = self._completions([chosen[at] for at in flat], model, state)
            seen += fresh[1]
            for number, at in enumerate(flat):
                into, out = self._rows(at), self._rows(number)
                made[into], rollouts[into], totals[into] = fresh[0][out], fresh[1][out], fresh[3][out]
                for name, column in scores.items():
                    column[into] = fresh[2][name][out]
        if self.curriculum is not None:
            self.curriculum.see(seen)  # once a step: every process takes part
        self.ready = made
        self.scorer.rollouts, self.scorer.scores, self.scorer.is_ready = rollouts, scores, True
        figures = {"reward_before_resampling": first, "resampled_groups": float(redrawn)} if self.resamples else {}
        figures["dropped_groups"] = float(len(self._flat(totals)))
        return [at for at in chosen for _ in range(self.group)], figures

    def take(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """TRL's `rollout_func`: the completions that `draw` made."""
        made, self.ready = self.ready, []
        assert len(made) == len(prompts)
        return as_columns(made, self.budgeted)

    def _completions(
        self, problems: Sequence[int], model: Any, state: Any
    ) -> tuple[list[Generation], list[Rollout], Scores, list[float | None]]:
        each = [at for at in problems for _ in range(self.group)]
        prompts = [self.prompts[at] for at in each]
        made = self.generate(prompts, model)
        rollouts = self.scorer.seen(prompts, each, made)
        scores = self.scorer.rewards.score(rollouts, state)
        return made, rollouts, scores, self.scorer.rewards.totals(scores)

    def _replaced(self, chosen: Sequence[int], places: Sequence[int]) -> list[int]:
        """Other problems in these places: by their chances under a curriculum, else all alike; none twice."""
        weights = torch.ones(len(self.prompts)) if self.curriculum is None else self.curriculum.chances()
        weights = weights.clamp(min=1e-6)
        if len(self.prompts) >= len(chosen) + len(places):
            weights[list(chosen)] = 0.0
        fresh = torch.multinomial(weights, len(places)).tolist() if places else []
        return [fresh[places.index(at)] if at in places else problem for at, problem in enumerate(chosen)]

    def _flat(self, totals: Sequence[float | None]) -> list[int]:
        """Groups in which no two known rewards differ."""
        groups = range(len(totals) // self.group)
        return [at for at in groups if len({total for total in totals[self._rows(at)] if total is not None}) < 2]

    def _rows(self, group: int) -> slice:
        return slice(group * self.group, (group + 1) * self.group)
