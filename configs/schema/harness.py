"""The recipe of `evaluation.evaluate` that asks lm-evaluation-harness's tasks."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.schema.sections import (
    BudgetConfig,
    EngineConfig,
    ModelConfig,
    NonNegative,
    Positive,
    Section,
    ThinkFormatConfig,
)


class HarnessConfig(Section):
    """Which tasks of lm-evaluation-harness, and how they are asked; the names are its own."""

    tasks: Annotated[list[str], Field(min_length=1)]
    """Tasks, groups and tags by name, or patterns of names: `[mmlu, ceval-valid, "arc_*"]`."""
    num_fewshot: NonNegative | None = None
    """Examples before each question; none: as each task says. A task that says 0 keeps it, as in the harness."""
    limit: Positive | None = None
    """At most this many documents of each task."""
    include_path: str | None = None
    """A folder with task files of your own (YAML); a name in it comes before the harness's."""
    apply_chat_template: bool = False
    """Ask through the model's chat template, as our own evaluation does; else the prompt is plain text."""
    fewshot_as_multiturn: bool = True
    """Under a chat template, examples are turns of their own."""


class HarnessEvalConfig(Section):
    """`python -m evaluation.evaluate` with a `harness:` section.

    Prompts, samples' number, sampling and grading are the tasks' own.
    """

    model: ModelConfig
    engine: EngineConfig = EngineConfig()
    think_format: Literal["s1", "deepseek", "xml", "none"] | ThinkFormatConfig = "none"
    """How the model writes its thinking and its answer; the harness sees the answer alone. Log-likelihoods are of
    answers that begin at once, whatever the format."""
    harness: HarnessConfig
    budget: BudgetConfig = BudgetConfig(max_answer=256)
    """How long to think before each generated answer; `max_answer` is for tasks that name no `max_gen_toks`."""
    seed: int = 42
    """Of sampling, in tasks that sample, and of the bootstrap; examples are drawn by the harness's own seed."""
    output_dir: str
    """The run directory; default `outputs/eval/<recipe>`."""

    @model_validator(mode="after")
    def _thinking_stands_in_a_turn(self) -> "HarnessEvalConfig":
        if self.think_format != "none" and not self.harness.apply_chat_template:
            raise ValueError(
                "think_format: thinking stands in a turn of the chat template; set harness.apply_chat_template=true, "
                "or think_format=none"
            )
        if self.think_format == "none" and self.budget.limits_thinking:
            raise ValueError("budget: think_format none has no thinking to limit; leave all but max_answer out")
        return self
