"""A recipe's rewards together: gates, clipping, `required`, and the contract that each of them is held to.

Order for each row: the reward's own score; 0 where its gate is not met (None where the gate could not be judged); the
clip; and at last, where a required reward is None, every column of that row is None (a trainer that adds the others up
would otherwise learn "correctness unknown, format 0.5" as a wrong answer).
"""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from configs.errors import RewardError
from data.problem import Problem
from data.think_format import ThinkFormat
from models.engines.conversation import Conversation
from report.correlation import correlation
from rewards.plugin import TrlReward
from rewards.rollout import Reward, Rollout
from rewards.time_limit import Overrun, within

OF_DELIMITERS = ("strict_format", "soft_format", "xmlcount", "tag_count", "think_format", "reasoning_steps", "budget")
"""Shipped rewards that look at thinking or its delimiters."""

Scores = dict[str, list[float | None]]
"""One column a reward, one row a rollout."""

COMPARISONS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


class BrokenReward(RewardError):
    """A reward raised or broke its contract; `rollout` is the first row where it did."""

    def __init__(self, reward: str, row: int, rollout: Rollout | None, what: str) -> None:
        problem = f" (problem '{rollout.problem.id}')" if rollout else ""
        super().__init__(f"reward '{reward}', row {row}{problem}: {what}")
        self.reward, self.row, self.rollout = reward, row, rollout


class BlockedReward(RewardError):
    """A reward of the user's own gave no scores in its time. `step`: training's, None outside of it."""

    def __init__(self, reward: str, step: int | None, completions: int, seconds: float, place: str) -> None:
        where = "" if step is None else f", step {step}"
        super().__init__(
            f"reward '{reward}'{where}: no scores for {completions} completions after {seconds:g} s ({place}); "
            "mend it, or raise `timeout` of its entry in `rewards:`"
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """`when: correctness > 0`: the reward counts only where another one's own score says so."""

    reward: str
    comparison: str
    value: float

    def admits(self, score: float | None) -> bool | None:
        """None when the other reward could not be judged."""
        return None if score is None else bool(COMPARISONS[self.comparison](score, self.value))


@dataclass(frozen=True, slots=True)
class Member:
    """One reward of a set."""

    name: str
    reward: Reward
    weight: float = 1.0
    gate: Gate | None = None
    required: bool = False
    clip: tuple[float, float] | None = None
    timeout: float | None = None
    """Seconds for a call on a batch; None where the reward limits itself."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """One reward's column, over the rows that could be judged; None where nothing is defined."""

    mean: float | None
    std: float | None
    none_share: float
    correlation: float | None
    """Pearson's, with correctness (0 or 1), over the rows where both are known and neither is constant."""


class RewardSet:
    """The rewards of a recipe, called together on a batch."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self.names = [member.name for member in members]
        self.weights = [member.weight for member in members]

    def score(self, rollouts: Sequence[Rollout], trainer_state: Any = None) -> Scores:
        """Every reward's scores after gates, clip and `required`, without weights.

        `trainer_state` is what TRL-style functions see under that name. Raises BrokenReward and BlockedReward.
        """
        return self.shaped(self.raw(rollouts, trainer_state))

    def raw(self, rollouts: Sequence[Rollout], trainer_state: Any = None) -> Scores:
        """Every reward's own scores, before gates, clip and `required`. Raises BrokenReward and BlockedReward."""
        step = None if trainer_state is None else trainer_state.global_step + 1
        scores: Scores = {}
        for member in self.members:
            if isinstance(member.reward, TrlReward):
                member.reward.trainer_state = trainer_state
            scores[member.name] = _call(member, rollouts, step)
        return scores

    def shaped(self, raw: Scores) -> Scores:
        """Raw scores after gates, clip and `required`."""
        scores = {member.name: _shaped(member, raw) for member in self.members}
        for member in self.members:
            if member.required:
                for row, score in enumerate(raw[member.name]):
                    if score is None:
                        for column in scores.values():
                            column[row] = None
        return scores

    def totals(self, scores: Scores) -> list[float | None]:
        """The weighted sum of each row over its known scores; None for a row without any."""
        totals: list[float | None] = []
        for row in zip(*(scores[name] for name in self.names), strict=True):
            known = [weight * score for weight, score in zip(self.weights, row, strict=True) if score is not None]
            totals.append(sum(known) if known else None)
        return totals

    def check(
        self,
        think_format: ThinkFormat,
        problem: Problem | None = None,
        max_thinking: int | None = None,
        environments: Sequence[Any] = (),
    ) -> None:
        """Score a dummy batch (a right, a wrong and an empty completion), so that a broken plug-in shows at start.

        `problem`: one of the run's own, for plug-ins that read its columns; `max_thinking`: of its budget;
        `environments`: three that were just reset, for a run in one. Raises BrokenReward, and RewardError for a reward
        of thinking or its delimiters where the format has none.
        """
        names = [member.name for member in self.members if member.timeout is None and member.name in OF_DELIMITERS]
        if names and not think_format.has_thinking:
            raise RewardError(f"reward '{names[0]}': think_format {think_format.name} has no thinking; leave it out")
        thinking = "So it is." if think_format.has_thinking else ""
        problem = problem or Problem(id="dummy", question="What is 40 + 2?", answer="42", source="dummy")
        texts = [think_format.render(thinking, problem.answer), think_format.render(thinking, "no"), ""]
        self.score(
            [
                Rollout(
                    problem=problem,
                    text=text,
                    think_format=think_format,
                    prompt=problem.question,
                    completion_tokens=len(text.split()),
                    thinking_tokens=len(text.split()) // 2,
                    completion_ids=tuple(range(len(text.split()) or 1)),
                    max_tokens=1024,
                    max_thinking=max_thinking,
                    conversation=_untouched(problem, text, environments[at]) if environments else None,
                )
                for at, text in enumerate(texts)
            ]
        )


def _untouched(problem: Problem, text: str, environment: Any) -> Conversation:
    """A completion of one turn that called no tool."""
    asked, said = {"role": "user", "content": problem.question}, {"role": "assistant", "content": text}
    return Conversation([asked], [said], results=(), calls=0, failures=0, environment=environment)


def statistics(scores: Scores, correct: Sequence[bool | None]) -> dict[str, Statistics]:
    """Each column's mean, spread, share of None, and correlation with correctness, for the report."""
    return {name: _statistics(column, correct) for name, column in scores.items()}


def _call(member: Member, rollouts: Sequence[Rollout], step: int | None) -> list[float | None]:
    """The reward's own scores, held to the contract: in time, a list, one finite number or None a row."""
    blocked = partial(BlockedReward, member.name, step, len(rollouts), member.timeout or 0.0)
    last_words = str(
        blocked("it can't be interrupted: the process ends here, and --resume goes on from the last checkpoint")
    )
    try:
        scores = within(member.timeout, lambda: member.reward(rollouts), last_words)
    except Overrun as overrun:
        raise blocked(f"it was in {overrun.place}") from None
    except RewardError:
        raise
    except Exception as error:
        try:
            row = within(member.timeout, lambda: _first_raising(member.reward, rollouts), last_words)
        except Overrun:
            row = 0
        what = "; ".join([f"it raised {type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
        raise BrokenReward(member.name, row, _at(rollouts, row), what) from error
    if not isinstance(scores, list | tuple) or len(scores) != len(rollouts):
        got = f"{len(scores)} scores" if isinstance(scores, list | tuple) else f"a {type(scores).__name__}"
        what = f"it returned {got} for {len(rollouts)} completions; return a list with one score (or None) for each"
        raise BrokenReward(member.name, 0, _at(rollouts, 0), what)
    return [_checked(member.name, row, score, rollouts[row]) for row, score in enumerate(scores)]


def _checked(name: str, row: int, score: Any, rollout: Rollout) -> float | None:
    if score is None:
        return None
    try:
        number = float(score)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        what = f"it returned {score!r}; return a finite number, or None for “could not be judged”"
        raise BrokenReward(name, row, rollout, what)
    return number


def _first_raising(reward: Reward, rollouts: Sequence[Rollout]) -> int:
    """The first row that makes the reward raise by itself; 0 when only the batch as a whole does."""
    for row, rollout in enumerate(rollouts):
        try:
            reward([rollout])
        except Exception:
            return row
    return 0


def _at(rollouts: Sequence[Rollout], row: int) -> Rollout | None:
    return rollouts[row] if row < len(rollouts) else None


def _shaped(member: Member, raw: Mapping[str, list[float | None]]) -> list[float | None]:
    """One column after its gate and its clip."""
    column = list(raw[member.name])
    if member.gate:
        admitted = [member.gate.admits(score) for score in raw[member.gate.reward]]
        column = [
            None if admit is None else score if admit else 0.0 for score, admit in zip(column, admitted, strict=True)
        ]
    if member.clip:
        low, high = member.clip
        column = [None if score is None else min(max(score, low), high) for score in column]
    return column


def _statistics(column: Sequence[float | None], correct: Sequence[bool | None]) -> Statistics:
    known = [score for score in column if score is not None]
    both = [
        (score, float(right))
        for score, right in zip(column, correct, strict=True)
        if score is not None and right is not None
    ]
    mean = sum(known) / len(known) if known else None
    return Statistics(
        mean=mean,
        std=math.sqrt(sum((score - mean) ** 2 for score in known) / len(known)) if mean is not None else None,
        none_share=1 - len(known) / len(column) if column else 0.0,
        correlation=correlation(both),
    )
