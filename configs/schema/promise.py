"""`budget.yaml`: a budget, and what was proven of it for one model."""

from typing import Annotated, Literal

from pydantic import Field

from configs.schema.sections import BudgetConfig, Positive, SamplingConfig, Section, ThinkFormatConfig


class BenchmarkRecord(Section):
    """The questions that it was proven on, as `results.json` has them."""

    source: str
    """The recipe's `data.source`."""
    problems: Positive
    """How many."""
    hash: str
    """Of ids, questions and gold answers."""


class ModelRecord(Section):
    """The model, as `results.json` has it."""

    name: str
    """The recipe's `model.name`."""
    adapter: str | None = None
    """A digest of the adapter's weights."""


class Promise(Section):
    """That a budget loses at most so much accuracy; written by `evaluation.calibrate`."""

    loss: Annotated[float, Field(ge=0, lt=100)]
    """The most that is lost, in percentage points of accuracy."""
    confidence: Annotated[float, Field(gt=0, lt=1)]
    """In at least this share of calibrations no promise made is a wrong one."""
    longest: BudgetConfig
    """The budget that it is compared with."""
    assumption: str
    """What the promise rests on, in words."""
    questions: Positive
    """The number of questions that prove it."""
    samples: Positive
    """Samples a question."""
    loss_seen: float
    """What was lost on these questions, in percentage points."""
    p: Annotated[float, Field(ge=0, le=1)]
    """The p-value of a larger loss."""
    thinking_tokens: Annotated[float, Field(ge=0)]
    """Thinking tokens, mean of a question."""
    thinking_tokens_longest: Annotated[float, Field(gt=0)]
    """Those of the longest budget."""
    benchmark: BenchmarkRecord
    model: ModelRecord
    think_format: Literal["s1", "deepseek", "xml", "none"] | ThinkFormatConfig
    """As in the recipe of the evaluation; so are the next two."""
    instruction: str
    """Appended to every question."""
    sampling: SamplingConfig

    @property
    def saved(self) -> float:
        """The share of the longest budget's thinking tokens that is saved."""
        return 1 - self.thinking_tokens / self.thinking_tokens_longest

    def __str__(self) -> str:
        """In words, without its assumption."""
        longest = self.longest.model_dump(exclude_defaults=True, exclude={"max_answer"})
        words = ", ".join(f"{name} {value}" for name, value in longest.items()) or "no limit"
        return (
            f"loses at most {points_of(self.loss)} of accuracy against the longest budget ({words}), proven with "
            f"{self.confidence:.4g} confidence on {self.questions} questions of {self.benchmark.source}"
        )


def points_of(loss: float) -> str:
    """Percentage points in words: "1 point"."""
    return f"{loss:g} point" + ("" if loss == 1 else "s")


class BudgetFile(Section):
    """`budget.yaml`."""

    budget: BudgetConfig
    """As a recipe has it."""
    promise: Promise | None = None
    """None: a budget that nothing is proven of."""
