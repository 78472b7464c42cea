"""The `teacher:` section of `rl.grpo`: who says of every token of the student's rollouts how likely it should be."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from configs.schema.sections import BudgetConfig, ModelConfig, Section, ServerConfig

if TYPE_CHECKING:
    from configs.schema.grpo import GrpoConfig


class TeacherConfig(Section):
    """On-policy distillation: `model`, `server` or `self` teaches; see `rl.teacher`."""

    model: ModelConfig | None = None
    """Weights that teach, loaded here and frozen; where they are the student's own base, they are in memory once."""
    server: ServerConfig | None = None
    """A vLLM server, or several, whose model teaches: it says how likely token ids are (`prompt_logprobs`)."""
    self: bool = False
    """The model that training starts from teaches, because it sees more: a solution, or thinking of another budget."""
    sees: Literal["question", "solution"] = "question"
    """`solution`: the teacher's prompt holds the problem's reference solution and gold answer as well."""
    budget: BudgetConfig | None = None
    """With `self`: how long is thought ahead of the answers that it judges; longer than `rollout.budget`."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Multiplies what the teacher adds to a token's advantage, beside the advantage of the rewards."""

    @model_validator(mode="after")
    def _consistent(self) -> "TeacherConfig":
        if sum([self.model is not None, self.server is not None, self.self]) != 1:
            raise ValueError("give `model`, `server` or `self: true`, one of them")
        if self.budget and not self.self:
            raise ValueError("budget: the student's own longer thinking teaches; it needs `self: true`")
        if self.budget and self.sees == "solution":
            raise ValueError("budget: what has seen the solution need not think longer; leave `sees` or `budget` out")
        if self.budget and not self.budget.limits_thinking:
            raise ValueError("budget: it says nothing of the thinking; set max_thinking")
        if self.self and not self.budget and self.sees == "question":
            raise ValueError("self: a model that sees what it saw teaches nothing; set `sees: solution`, or a `budget`")
        return self

    def check(self, recipe: "GrpoConfig") -> None:
        """Raise `ValueError` for what the rest of the recipe asks in vain."""
        if recipe.model.backend == "unsloth" or recipe.engine == "unsloth":
            raise ValueError(
                "teacher: Unsloth's loss takes one advantage a completion, not one a token; set "
                "model.backend=transformers, and rollout.engine=vllm for fast rollouts"
            )
        if recipe.rollout.resamples:
            raise ValueError("rollout.resamples: with a teacher every completion teaches; leave it out")
        if recipe.rollout.curriculum and not recipe.rewards:
            raise ValueError("rollout.curriculum: it weighs problems by what rewards make of them; leave it out")
        student = recipe.rollout.budget
        if self.budget and not (student and (student.ends or student.effort)):
            raise ValueError("teacher.budget: the student needs a shorter one; set rollout.budget.max_thinking")
        sampling = recipe.sampling
        if self.server and (sampling.truncations or sampling.temperature != 1):
            setting = (*sampling.truncations, "temperature")[0]
            raise ValueError(
                f"trainer.{setting}: a server says how likely tokens are at temperature 1 among all of the vocabulary; "
                "sample so too, or load the teacher here with teacher.model"
            )
