"""What `sft.train` and `rl.grpo` have in common."""

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from configs.schema import trl_fields
from configs.schema.adapters import AdapterConfig, LoraConfig
from configs.schema.sections import (
    DataConfig,
    EngineConfig,
    ModelConfig,
    NonNegative,
    Positive,
    SamplingConfig,
    Section,
    ThinkFormatConfig,
)

DECODE_BATCH = 100
"""Most sequences that a training command decodes together, unless its recipe has a section for the engine."""


class HeldOutConfig(Section):
    """Accuracy on problems that are never trained on, measured by a training command.

    With `every` a training is watched: the best of the measured weights are those that are saved.
    """

    data: DataConfig | None = None
    """The held-out problems; a training problem with the same question is left out of training."""
    problems: Positive = 200
    """Without `data`: how many of the training problems are held out instead."""
    k: Positive = 4
    """Samples a problem at the training temperature, for avg@k."""
    max_tokens: Positive = 256
    """Longest completion, in tokens."""
    general: DataConfig | None = None
    """Problems of another kind, answered greedily before and after too: what is forgotten. Never trained on either."""
    when: list[Literal["before", "after"]] = ["before", "after"]
    """Measure before training, after it, or both; empty: neither."""
    every: NonNegative = 0
    """Steps between two measurements while training; the last step is measured too. 0: none while training."""
    watched: Positive | None = None
    """How many of the held-out problems are asked while training, the first so many; none: all."""
    metric: Literal["avg_at_k", "greedy"] = "avg_at_k"
    """The figure by which measured weights are the best; of equal ones the earlier are kept."""
    patience: Positive | None = None
    """Stop after so many measurements in a row without better weights; none: train to the end."""

    @property
    def measures(self) -> bool:
        """Whether anything is measured at any time."""
        return bool(self.when or self.every)

    def is_due(self, step: int, steps: int) -> bool:
        """Whether a measurement follows step `step` of `steps`; 0 is before the first."""
        return self.every > 0 and (step % self.every == 0 or step == steps)

    @model_validator(mode="after")
    def _check_watching(self) -> "HeldOutConfig":
        settings = {"watched": self.watched, "patience": self.patience, "metric": self.metric != "avg_at_k"}
        for name, is_set in settings.items():
            if is_set and not self.every:
                raise ValueError(f"{name} is of what is measured while training; set eval.every, or leave it out")
        return self


class TrackingConfig(Section):
    """Where metrics go besides `metrics.jsonl`."""

    to: Literal["none", "wandb", "tensorboard", "trackio", "swanlab"] = "none"
    """The tracker."""
    project: str = "mull"
    """Its project."""
    mode: Literal["online", "offline"] = "online"
    """wandb and swanlab: `offline` needs no account; `wandb sync`, `swanlab sync` upload later."""


class TrainingConfig(Section):
    """What `sft.train` and `rl.grpo` share."""

    trl_class: ClassVar[str]
    """TRL's config class, whose fields `trainer:` holds."""
    adapter_types: ClassVar[tuple[str, ...]] = ()
    """The types of adapter that the command trains; empty: every one."""

    model: ModelConfig
    adapter: AdapterConfig | None = LoraConfig()
    """The adapter to train, by its `type`; `null` trains every weight. Ignored where `model.adapter` brings one with
    its own shape."""
    think_format: Literal["s1", "deepseek", "xml", "none"] | ThinkFormatConfig = "s1"
    """How the model writes its thinking and its answer."""
    data: DataConfig
    eval: HeldOutConfig | None = None
    tracking: TrackingConfig = TrackingConfig()
    seed: int = 42
    """Of everything: order, sampling, initialisation."""
    output_dir: str
    """The run directory; default `outputs/<stage>/<recipe>`."""
    trainer: dict[str, Any] = {}
    """Any field of TRL's config class, under its own name."""

    @property
    def trains_every_weight(self) -> bool:
        """Whether there is no adapter, neither a fresh one nor one to start from."""
        return self.adapter is None and self.model.adapter is None

    @property
    def generates(self) -> bool:
        """Whether the model in training writes completions."""
        return self.eval is not None and self.eval.measures

    @property
    def drops_long_rows(self) -> bool:
        """Whether a row that is too long is left out, and not a reason to stop."""
        return False

    @property
    def engine(self) -> str:
        """The name of the engine that draws them."""
        return "auto"

    @property
    def engine_section(self) -> EngineConfig:
        """That engine as a section."""
        return EngineConfig.model_validate({"name": self.engine, "batch_size": DECODE_BATCH})

    @property
    def weighs_tokens(self) -> bool:
        """Whether each token has an advantage of its own, which TRL's loss takes and Unsloth's does not."""
        return False

    @property
    def teacher_model(self) -> ModelConfig | None:
        """Frozen weights that are asked beside those in training."""
        return None

    def trl_setting(self, name: str) -> Any:
        """What the trainer will have as `name`: the recipe's value, or TRL's default where the recipe is silent."""
        return self.trainer[name] if name in self.trainer else trl_fields.trl_default(self.trl_class, name)

    @property
    def sampling(self) -> "SamplingConfig":
        """How completions are drawn: `temperature`, `top_p`, `top_k` and `min_p` under `trainer:`, TRL's names."""
        known = SamplingConfig.model_fields.keys() & trl_fields.fields(self.trl_class).keys()
        settings = {name: self.trl_setting(name) for name in known}
        return SamplingConfig(**{name: value for name, value in settings.items() if value is not None})
