"""The `budget:` of rollouts, whose limit may be drawn, told in the prompt, and changed over the steps."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from configs.schema.sections import BudgetConfig, BudgetFields, NonNegative, Section

PLACEHOLDER = "{max_thinking}"
"""Where the limit stands in the words that tell it."""


class LimitRange(Section):
    """Every whole number from `low` to `high`, all alike."""

    low: NonNegative
    """The least."""
    high: NonNegative
    """The most; it may be drawn too."""

    @model_validator(mode="after")
    def _ordered(self) -> "LimitRange":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


def _kind(limits: Any) -> str:
    """Which of the three forms is meant, by tags that no key of a recipe can be."""
    if isinstance(limits, dict | LimitRange):
        return "a range"
    return "a list" if isinstance(limits, list) else "a number"


Limits = Annotated[
    Annotated[NonNegative, Tag("a number")]
    | Annotated[list[NonNegative], Field(min_length=1), Tag("a list")]
    | Annotated[LimitRange, Tag("a range")],
    Discriminator(_kind),
]
"""One limit, or several to draw from."""


def choices(limits: int | list[int] | LimitRange) -> Sequence[int]:
    """What is drawn from, all alike."""
    if isinstance(limits, LimitRange):
        return range(limits.low, limits.high + 1)
    return limits if isinstance(limits, list) else [limits]


def check_told(told: bool | str, max_thinking: object) -> None:
    """Raise `ValueError` where there is nothing to tell, or no place for it in the words."""
    if told is not False and max_thinking is None:
        raise ValueError("told: there is no max_thinking to tell; give one")
    if isinstance(told, str) and PLACEHOLDER not in told:
        raise ValueError(f"told: no {PLACEHOLDER} in {told!r}; write it where the number belongs")


class StageConfig(Section):
    """What `max_thinking` is from one step on."""

    from_step: Annotated[int, Field(gt=1)]
    """The first step that is trained with it; before the first stage the budget's own `max_thinking` holds."""
    max_thinking: Limits
    """As the budget's own: a number, a list or a range."""


class RolloutBudgetConfig(BudgetFields):
    """How long a completion may, and must, think; a group's completions have one limit, so they stay comparable."""

    max_thinking: Limits | None = None
    """Most thinking tokens, "Wait" included; a list `[16, 32]` or a range `{low: 16, high: 64}` is drawn from for every
    group. None: no limit but `trainer.max_completion_length`."""
    told: bool | str = False
    """Say the limit in the prompt. `true`: "Think for up to … tokens."; or your own words with `{max_thinking}`."""
    schedule: list[StageConfig] = []
    """Other limits from later steps on, in order: falling ones make a model shorter (ThinkPrune, arXiv 2504.01296)."""

    @model_validator(mode="after")
    def _check(self) -> "RolloutBudgetConfig":
        self.check_limit(min(self.ends, default=None))
        check_told(self.told, self.max_thinking)
        if self.schedule and self.max_thinking is None:
            raise ValueError("schedule: there is no max_thinking that it changes; give the one of the first steps")
        steps = [stage.from_step for stage in self.schedule]
        if steps != sorted(set(steps)):
            raise ValueError(
                f"schedule: from_step {', '.join(map(str, steps))}; each stage starts after the one before"
            )
        return self

    @property
    def stages(self) -> list[Sequence[int]]:
        """What is drawn from, a stage after the other; empty where there is no limit."""
        limits = [self.max_thinking, *(stage.max_thinking for stage in self.schedule)]
        return [choices(one) for one in limits if one is not None]

    @property
    def ends(self) -> list[int]:
        """The least and the most of every stage; a range may be too long to look at each."""
        ends = ((its[0], its[-1]) if isinstance(its, range) else its for its in self.stages)
        return [limit for its in ends for limit in its]

    @property
    def is_drawn(self) -> bool:
        """Whether completions of a run have different limits."""
        return len(set(self.ends)) > 1

    def limits_at(self, step: int) -> Sequence[int]:
        """What a group of step `step`, counted from 1, draws from; empty where there is no limit."""
        limits = self.max_thinking
        for stage in self.schedule:
            limits = stage.max_thinking if stage.from_step <= step else limits
        return [] if limits is None else choices(limits)

    def under(self, limit: int | None) -> BudgetConfig:
        """The budget of a group that has drawn `limit`."""
        shared = {name: getattr(self, name) for name in BudgetFields.model_fields}
        return BudgetConfig(**shared, max_thinking=limit)
