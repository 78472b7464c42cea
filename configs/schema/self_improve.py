"""The recipe of `self_improve.run`."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from configs.schema.adapters import AdapterConfig, LoraConfig
from configs.schema.evaluation import PointConfig
from configs.schema.judge import JudgeConfig
from configs.schema.sections import (
    DataConfig,
    EngineConfig,
    ModelConfig,
    Positive,
    SamplingConfig,
    Section,
    ServerConfig,
    ThinkFormatConfig,
)

EXAMPLES = "{examples}"
"""Where a prompt that asks for a problem shows some."""
POSE_PROMPT = (
    f"Here are problems:\n\n{EXAMPLES}\n\nWrite one new problem of this kind, with another story and other numbers, "
    "between <problem> and </problem>. Do not solve it."
)


class PoserConfig(Section):
    """A model that is trained to pose, on the seeds, before the first round."""

    adapter: AdapterConfig = LoraConfig()
    """What is trained; the model that solves is left alone."""
    repeats: Positive = 4
    """How often each seed is what a row poses, each time after other examples."""
    trainer: dict[str, Any] = {}
    """Any field of TRL's `SFTConfig`."""


class PoseConfig(Section):
    """Who poses the problems of a round, and how many."""

    by: Literal["family", "model"]
    """`family`: generated sources with a verifier of their own; `model`: a model, after a few seed problems."""
    problems: Positive = 300
    """How many are posed a round."""
    families: list[DataConfig] = []
    """`family` only: generated sources, the same part from each; every round has other seeds."""
    seeds: DataConfig | None = None
    """`model` only: the problems that prompts show examples of."""
    shots: Positive = 3
    """`model` only: examples in a prompt."""
    prompt: str = POSE_PROMPT
    """`model` only: what asks for a problem; `{examples}` is where the examples stand."""
    model: ModelConfig | None = None
    """`model` only: who poses; none: the recipe's `model` without its adapter."""
    server: ServerConfig | None = None
    """`model` only: a server that poses instead."""
    train: PoserConfig | None = None
    """`model` only: teaches `model` to pose first, which small models need."""
    sampling: SamplingConfig = SamplingConfig(temperature=0.8)
    max_tokens: Positive = 256
    """Longest posed problem."""

    @model_validator(mode="after")
    def _check(self) -> "PoseConfig":
        if self.by == "family" and (not self.families or self.seeds):
            raise ValueError("families: by=family poses from them, and from no seeds; name a generated source")
        if self.by == "model" and (self.seeds is None or self.families):
            raise ValueError("seeds: by=model poses from them, and from no families; name a few problems")
        if self.server and (self.model or self.train):
            raise ValueError("server: it poses as it is; leave out pose.model and pose.train")
        if EXAMPLES not in self.prompt:
            raise ValueError(f"prompt: write {EXAMPLES} where the examples stand")
        for family in self.families:
            if family.path or family.source.partition(":")[0] not in ("arithmetic", "reasoning_gym"):
                raise ValueError(f"families: {family.source} generates no problems; take arithmetic or reasoning_gym:…")
        if len({family.source.partition(":")[0] for family in self.families}) > 1:
            raise ValueError("families: their answers are checked in different ways; take those of one kind")
        return self


class SolveConfig(Section):
    """How the posed problems are answered, by the model that the round is built on."""

    samples: Positive = 4
    """Answers a problem."""
    sampling: SamplingConfig = SamplingConfig()
    max_tokens: Positive = 1024
    """Longest answer; one that is cut off is never trained on."""
    instruction: str = ""
    """Appended to every question, after a blank line."""


class CheckConfig(Section):
    """What says that an answer is right."""

    by: Literal["verifier", "agreement", "judge"]
    """`verifier`: the family's gold answer or own score; `agreement`: the share of the answers that are the same;
    `judge`: a model's score of the whole solution."""
    agreement: Annotated[float, Field(ge=0.5, le=1)] = 0.6
    """`agreement` only: the least share, of all answers to a problem, that have to be the same."""
    judge: JudgeConfig | None = None
    """`judge` only. A solution that it does not score is never taken as right."""
    score: Annotated[float, Field(ge=0, le=1)] = 0.8
    """`judge` only: the least score, where 1 to 10 is 0 to 1."""


class KeepConfig(Section):
    """Which of the checked problems are trained on."""

    min_pass_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Below this share of right answers a problem is hopeless."""
    max_pass_rate: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Above this share it is trivial."""
    problems: Positive | None = None
    """At most this many a round, spread over kinds of problems; none: all."""
    traces: Positive = 2
    """Right answers kept a problem, the shortest first."""
    benchmarks: list[DataConfig] = []
    """Beside the held-out problems: what no posed problem may repeat."""

    @model_validator(mode="after")
    def _check(self) -> "KeepConfig":
        if self.min_pass_rate > self.max_pass_rate:
            raise ValueError("min_pass_rate: larger than max_pass_rate, so nothing would be kept")
        return self


class ImproveTrainConfig(Section):
    """SFT on the verified answers."""

    start_from: Literal["base", "last"] = "base"
    """`base`: from `model`, on the answers of every round that was built on and of this one, as STaR does; `last`: from
    the last round that was built on, on this round's alone."""
    old: DataConfig | None = None
    """What the model was trained on before, mixed in so that it is not forgotten."""
    old_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Its part of the rows."""
    adapter: AdapterConfig | None = LoraConfig()
    """What is trained where `model` brings no adapter."""
    trainer: dict[str, Any] = {}
    """Any field of TRL's `SFTConfig`."""


class MeasureConfig(Section):
    """How each round is measured: always on the same problems, which nobody posed."""

    data: DataConfig
    samples: Positive = 4
    """Answers a problem, for avg@k."""
    sampling: SamplingConfig = SamplingConfig()
    budget: PointConfig = PointConfig()
    instruction: str = ""
    """Appended to every question, after a blank line."""


class SelfImproveConfig(Section):
    """`python -m self_improve.run`."""

    model: ModelConfig
    """What is improved."""
    engine: EngineConfig = EngineConfig()
    """What poses, solves and measures."""
    think_format: Literal["s1", "deepseek", "xml", "none"] | ThinkFormatConfig = "s1"
    """How the model writes its thinking and its answer."""
    pose: PoseConfig
    solve: SolveConfig = SolveConfig()
    check: CheckConfig
    keep: KeepConfig = KeepConfig()
    train: ImproveTrainConfig = ImproveTrainConfig()
    eval: MeasureConfig
    rounds: Positive = 3
    """Most rounds."""
    patience: Positive = 1
    """Rounds in a row that do not help, after which the loop ends."""
    seed: int = 42
    """Of posing, sampling, training."""
    output_dir: str
    """The run directory; default `outputs/self_improve/<recipe>`."""

    @model_validator(mode="after")
    def _check(self) -> "SelfImproveConfig":
        if self.check.by == "verifier" and self.pose.by == "model":
            raise ValueError("check.by: verifier needs problems of a family; take agreement or judge")
        if self.check.by == "judge" and self.check.judge is None:
            raise ValueError("check.judge: by=judge needs one")
        if self.check.by == "agreement" and self.keep.max_pass_rate < self.check.agreement:
            raise ValueError("keep.max_pass_rate: below check.agreement, so nothing would be kept")
        return self
