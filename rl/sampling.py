"""Which completions a step trains on: groups that can teach nothing are drawn anew, on problems that still can.

GRPO compares the completions of one problem: a group with equal rewards has no advantage and adds no gradient. DAPO
(arXiv 2503.14476 §3.2) draws until the batch is full of others; here up to a bound, and what is left is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

import torch
from accelerate.utils import gather_object
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from configs.schema.grpo import GrpoConfig
from data.problem import Problem
from models.engines.base import Engine
from models.engines.generation import Generation
from rewards.composition import Scores
from rewards.rollout import Rollout
from rewards.shipped.correctness import is_correct
from rl.budgets import group_budgets, limit_of
from rl.rollout import make_generate, prompts, told_limits, trl_columns
from rl.scoring import RolloutScorer, score_columns
from training.together import failing_together

Value = TypeVar("Value")
COUNTS = ("dropped_groups", "resampled_groups")
"""Figures of a generation that add up over processes; the others are means."""
PRIOR = 2.0
"""How many tries of a problem the pass rate over all problems counts for."""


class Curriculum(TrainerCallback, ExportableState):  # type: ignore[misc] # transformers is not typed here
    """Pass rates seen, and how likely a problem's next group is to have both right and wrong completions.

    It travels in the checkpoint's `trainer_state.json`.
    """

    def __init__(self, problems: Sequence[Problem], group_size: int) -> None:
        self.number = {problem.id: at for at, problem in enumerate(problems)}
        self.passed = torch.zeros(len(problems))
        self.tried = torch.zeros(len(problems))
        self.group_size = group_size

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
        chances: torch.Tensor = 1 - rate**self.group_size - (1 - rate) ** self.group_size
        return chances

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        seen = self.tried.nonzero()[:, 0].tolist()
        return {"seen": [[at, int(self.passed[at]), int(self.tried[at])] for at in seen]}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """A resumed run goes on with what its checkpoint knows."""
        for at, passed, tried in state.stateful_callbacks.get(type(self).__name__, {}).get("seen", []):
            self.passed[at], self.tried[at] = passed, tried


@dataclass(slots=True)
class Batch:
    """A generation's completions: P groups of G, each on one problem, side by side; B = P · G."""

    problems_P: list[int]
    """The number of each group's problem."""
    prompts_P: list[str]
    """What each group was asked, told its budget where the recipe says so."""
    generations: list[Generation]
    rollouts: list[Rollout]
    scores: Scores
    totals: list[float | None]

    @property
    def group_size(self) -> int:
        """How many completions a group has."""
        return len(self.rollouts) // len(self.problems_P)

    def group(self, number: int) -> "Batch":
        """One group, as a batch of its own."""
        rows = self._rows(number)
        scores = {name: scores_B[rows] for name, scores_B in self.scores.items()}
        group = [self.problems_P[number]], [self.prompts_P[number]]
        return Batch(*group, self.generations[rows], self.rollouts[rows], scores, self.totals[rows])

    def replace_group(self, number: int, group: "Batch") -> None:
        """Put another group in the place of one."""
        rows = self._rows(number)
        self.problems_P[number], self.prompts_P[number] = group.problems_P[0], group.prompts_P[0]
        self.generations[rows], self.rollouts[rows] = group.generations, group.rollouts
        self.totals[rows] = group.totals
        for name, scores_B in self.scores.items():
            scores_B[rows] = group.scores[name]

    def zero_variance(self) -> list[int]:
        """Groups in which no two known totals differ: they have no advantage."""
        totals_PG = [self.totals[self._rows(number)] for number in range(len(self.problems_P))]
        known_PG = [{total for total in totals_G if total is not None} for totals_G in totals_PG]
        return [number for number, known_G in enumerate(known_PG) if len(known_G) < 2]

    def mean_total(self) -> float:
        """Over the rows that have one; 0.0 without any."""
        known = [total for total in self.totals if total is not None]
        return fmean(known) if known else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """The data set's row of each completion, as TRL's sampler would have it."""
        return [
            {"prompt": prompt, "problem": problem}
            for problem, prompt in zip(self.problems_P, self.prompts_P, strict=True)
            for _ in range(self.group_size)
        ]

    def columns(self, is_forced: bool) -> dict[str, list[Any]]:
        """What TRL takes for the completions (see `trl_columns`), and the scores beside them."""
        return trl_columns(self.generations, is_forced) | score_columns(self.scores)

    def tool_figures(self) -> dict[str, float]:
        """How many tools a completion calls, and which share of the calls fails: TRL's figures, under TRL's names."""
        found = [generation.conversation for generation in self.generations if generation.conversation]
        calls, failures = (sum(getattr(one, name) for one in found) for name in ("calls", "failures"))
        return {"tools/call_frequency": calls / len(found), "tools/failure_frequency": failures / max(1, calls)}

    def _rows(self, number: int) -> slice:
        return slice(number * self.group_size, (number + 1) * self.group_size)


class GroupSampler:
    """Draws a generation's completions and scores them.

    `prompts[i]` is problem i's, where it is told no budget; `group_size` completions each, side by side;
    `config.rollout` says the rest.
    """

    def __init__(
        self,
        engine: Engine,
        config: GrpoConfig,
        scorer: RolloutScorer,
        prompts: Sequence[str],
        group_size: int,
        curriculum: Curriculum | None = None,
    ) -> None:
        self.generate, self.is_exact = make_generate(engine, config), engine.is_exact
        self.config, self.sampling, budget = config, config.sampling, config.rollout.budget
        self.told = budget.told if budget else False
        self.scorer, self.prompts, self.group_size, self.curriculum = scorer, prompts, group_size, curriculum

    def draw(
        self, problems: Sequence[int], model: PreTrainedModel, state: TrainerState
    ) -> tuple[Batch, dict[str, float]]:
        """(completions with their scores, figures for the metrics).

        `problems`: one entry a completion, as TRL's sampler has it. Raises `BrokenReward`.
        """
        # 1. problems: TRL's choice, and under a curriculum others in the place of those that can teach little
        problems_P = list(problems[:: self.group_size])
        if self.curriculum is not None:
            chances = self.curriculum.chances()
            is_kept = torch.rand(len(problems_P)) < chances[problems_P] / chances.max().clamp(min=1e-9)
            problems_P = self._other_problems(problems_P, [at for at, kept in enumerate(is_kept.tolist()) if not kept])

        with failing_together():
            # 2. their completions, scored
            batch = self._completions(problems_P, model, state)
            rollouts, first_mean, redrawn_groups = list(batch.rollouts), batch.mean_total(), 0

            # 3. groups without an advantage are drawn again on other problems, at most `resamples` times
            for attempt in range(1, self.config.rollout.resamples + 1):
                zero_variance = batch.zero_variance()
                if not zero_variance:
                    break
                problems_P = self._other_problems(batch.problems_P, zero_variance)
                others_P = [problems_P[number] for number in zero_variance]
                redrawn = self._completions(others_P, model, state, attempt)
                for new, old in enumerate(zero_variance):
                    batch.replace_group(old, redrawn.group(new))
                rollouts += redrawn.rollouts
                redrawn_groups += len(zero_variance)

        # 4. the curriculum sees every completion, those drawn in vain too; once a step, as every process takes part
        if self.curriculum is not None:
            self.curriculum.see(rollouts)
        # a group without an advantage is none for a teacher
        figures = {} if self.config.weighs_tokens else {"dropped_groups": float(len(batch.zero_variance()))}
        if (budget := self.config.rollout.budget) and budget.is_drawn:
            figures["max_thinking"] = fmean(rollout.max_thinking or 0 for rollout in batch.rollouts)
        if self.config.rollout.environment:
            figures |= batch.tool_figures()
        if self.config.rollout.resamples:
            figures |= {"reward_before_resampling": first_mean, "resampled_groups": float(redrawn_groups)}
        return batch, figures

    def _completions(
        self, problems_P: list[int], model: PreTrainedModel, state: TrainerState, attempt: int = 0
    ) -> Batch:
        # 1. what each group is asked, and its budget: one for all its completions
        asked_P = [self.scorer.problems[problem] for problem in problems_P]
        budgets_P = group_budgets(self.config, asked_P, state.global_step + 1, attempt)
        limits_P = list(map(limit_of, budgets_P))
        prompts_P = [self.prompts[problem] for problem in problems_P]
        if self.told:
            asked_P = told_limits(asked_P, limits_P, self.told)
            prompts_P = prompts(asked_P, self.scorer.tokenizer, self.scorer.think_format)

        # 2. its completions, scored
        prompts_B = self._each(prompts_P)
        generations = self.generate(self._each(asked_P), prompts_B, self._each(budgets_P), model)
        rollouts = self.scorer.rollouts(prompts_B, self._each(problems_P), generations, self._each(limits_P))
        scores = self.scorer.score(rollouts, state)
        return Batch(problems_P, prompts_P, generations, rollouts, scores, self.scorer.totals(scores, len(rollouts)))

    def _each(self, values_P: Sequence[Value]) -> list[Value]:
        """A group's value for each of its completions."""
        return [value for value in values_P for _ in range(self.group_size)]

    def _other_problems(self, problems_P: Sequence[int], places: Sequence[int]) -> list[int]:
        """Other problems in these places: by their chances under a curriculum, else all alike; none twice."""
        weights = torch.ones(len(self.prompts)) if self.curriculum is None else self.curriculum.chances()
        weights = weights.clamp(min=1e-6)
        if len(self.prompts) >= len(problems_P) + len(places):
            weights[list(problems_P)] = 0.0
        others = list(problems_P)
        for place, problem in zip(places, torch.multinomial(weights, len(places)) if places else [], strict=True):
            others[place] = int(problem)
        return others
