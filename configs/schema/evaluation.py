"""The recipe of `evaluation.evaluate`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.schema.judge import JudgeConfig
from configs.schema.rollout_budget import check_told
from configs.schema.sections import (
    BudgetConfig,
    DataConfig,
    EngineConfig,
    ModelConfig,
    Positive,
    SamplingConfig,
    Section,
    ThinkFormatConfig,
    check_environment,
)

PERPLEXITY = "perplexity"
"""The one metric that is of the gold replies, and of no sample."""


class PointConfig(BudgetConfig):
    """One point of an evaluation's sweep: a budget, and what the prompt says about it."""

    prompt: Literal["tokens", "steps", "short", "long"] | None = None
    """s1's other controls: the prompt asks for at most `target` tokens or steps, or for little or much thinking."""
    target: Positive | None = None
    """How many tokens or steps the prompt asks for."""
    told: bool | str = False
    """Say `max_thinking` in the prompt, as `rollout.budget.told` does: `true`, or words with `{max_thinking}`."""
    tries: Positive = 1
    """Rejection sampling: draw again while thinking does not end by itself within its limit; the last draw is kept."""

    @model_validator(mode="after")
    def _tries_need_a_limit(self) -> "PointConfig":
        if self.tries > 1 and self.max_thinking is None and self.effort is None:
            raise ValueError("`tries` draws again what is over a limit: give `max_thinking` or `effort` too")
        return self

    @model_validator(mode="after")
    def _told_is_a_number(self) -> "PointConfig":
        check_told(self.told, self.max_thinking)
        if self.told and self.prompt:
            raise ValueError("give `told` or `prompt`, not both: the prompt names one length")
        return self

    @model_validator(mode="after")
    def _target_is_asked_for(self) -> "PointConfig":
        if (self.prompt in ("tokens", "steps")) != (self.target is not None):
            raise ValueError("`target` goes with `prompt: tokens` or `prompt: steps`, and they need it")
        return self


class ProbesConfig(Section):
    """Answers forced on the way: what the longest thinking would answer if it ended here."""

    every: Positive
    """Thinking tokens between two probes."""
    final_answer_text: str = ""
    """What a probe appends after the end of thinking."""
    max_answer: Positive = 32
    """Most tokens of a probe's answer."""

    @model_validator(mode="after")
    def _cheaper_than_thinking(self) -> "ProbesConfig":
        if self.every < self.max_answer:
            raise ValueError(
                f"every {self.every} is below max_answer {self.max_answer}: probes would cost more than the thinking "
                "between them; raise the one or lower the other"
            )
        return self


class EvalConfig(Section):
    """`python -m evaluation.evaluate`."""

    model: ModelConfig
    engine: EngineConfig = EngineConfig()
    think_format: Literal["s1", "deepseek", "xml", "none"] | ThinkFormatConfig = "s1"
    """How the model writes its thinking and its answer."""
    data: DataConfig
    instruction: str = ""
    """Appended to every question, after a blank line."""
    budgets: Annotated[list[PointConfig], Field(min_length=1)] = [PointConfig()]
    """The sweep: every problem is answered under each of them."""
    probes: ProbesConfig | None = None
    """Probe the thinking of the longest budget: accuracy over tokens as a curve, rules that stop early, and what
    `mull calibrate` chooses from, at the cost of the probes' answers."""
    sampling: SamplingConfig = SamplingConfig(temperature=0.0)
    samples: Positive = 1
    """Samples a problem and budget, for avg@k, pass@k and maj@k; over several budgets also for width or depth."""
    metrics: list[str] | None = None
    """Text metrics of the replies in place of the task's own: `bleu`, `chrf`, `rouge1`, `rouge2`, `rougeL`, …
    (`rewards.grading.text_metrics`), `bertscore:MODEL`; and `perplexity` of the gold replies. What the grader knows (F1
    of entities, fields of an object) comes by itself."""
    judge: JudgeConfig | None = None
    """A model that scores every reply."""
    environment: str | None = None
    """What the model acts in, as `rollout.environment` of GRPO: a model that was trained with tools needs them here."""
    max_turns: Positive | None = None
    """Most rounds of tool calls of a sample; none: as many as fit."""
    answers: str | None = None
    """A JSONL file of answers that another tool made: they are graded, nothing is generated."""
    seed: int = 42
    """Of sampling (each sample has its own, made from this, its problem and its number) and of the bootstrap."""
    output_dir: str
    """The run directory; default `outputs/eval/<recipe>`."""

    @model_validator(mode="after")
    def _check(self) -> "EvalConfig":
        if self.samples > 1 and self.sampling.temperature == 0:
            raise ValueError(
                f"samples: {self.samples} samples at sampling.temperature=0 are all the same; raise the temperature"
            )
        if self.sampling.temperature == 0 and any(budget.tries > 1 for budget in self.budgets):
            raise ValueError("tries: at sampling.temperature=0 every draw is the same; raise the temperature")
        if self.think_format == "none" and any(b.limits_thinking or b.tries > 1 or b.prompt for b in self.budgets):
            raise ValueError("budgets: think_format none has no thinking to limit; leave all but max_answer out")
        check_environment(self.environment, self.max_turns, self.think_format)
        if self.environment is not None and (self.probes is not None or self.answers is not None):
            raise ValueError("environment: probes and answers of another tool have none; leave one out")
        if self.probes is not None and (self.answers is not None or self.think_format == "none"):
            raise ValueError("probes: there is no thinking to probe; leave them out")
        if self.probes is not None and all(b.tries > 1 or b.prompt or b.told or b.stop_when for b in self.budgets):
            raise ValueError("probes: they need a budget without `prompt`, `told`, `tries` and `stop_when`; add one")
        if self.measures_perplexity and self.answers is not None:
            raise ValueError("metrics: perplexity needs the model, and `answers` are another tool's; take it out")
        if self.measures_perplexity and self.think_format != "none":
            raise ValueError("metrics: perplexity is of gold replies right after their prompts; set think_format=none")
        twice = [budget for at, budget in enumerate(self.budgets) if budget in self.budgets[:at]]
        if twice:
            raise ValueError(f"budgets: the same budget twice: {twice[0].model_dump(exclude_defaults=True)}")
        return self

    @property
    def measures_perplexity(self) -> bool:
        """Whether the gold replies are measured too, which takes the model itself."""
        return PERPLEXITY in (self.metrics or ())
