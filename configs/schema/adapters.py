"""What is trained beside frozen base weights: a recipe's `adapter:` section, one class a `type`."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from configs.schema.sections import NonNegative, Positive, Section

PREFIX_TYPES = ("prefix", "p_tuning_v2")
"""Keys and values of virtual tokens stand before the prompt's in every layer."""
PROMPT_TYPES = (*PREFIX_TYPES, "p_tuning", "prompt")
"""Virtual tokens before the prompt, and no change of any weight."""
TAG = "type={}"
"""How a branch of the union is called: no key of a recipe looks like it."""


class LowRankConfig(Section):
    """What LoRA and its kin share: a low-rank update of linear maps."""

    alpha: Positive = 32
    """Scale numerator: the update is multiplied by alpha / rank (alpha / sqrt(rank) with rslora)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""
    target_modules: Literal["all-linear"] | list[str] = "all-linear"
    """`all-linear`, or module names."""


class FixedRankConfig(LowRankConfig):
    """What those share whose rank is one number."""

    r: Positive = 16
    """Rank."""
    rslora: bool = False
    """Rank-stabilised scaling."""


class LoraConfig(FixedRankConfig):
    """LoRA (arXiv 2106.09685) through PEFT, or Unsloth's own call of it."""

    type: Literal["lora"] = "lora"


class DoraConfig(FixedRankConfig):
    """DoRA (arXiv 2402.09353): LoRA on a weight's direction, and its magnitude trained beside it."""

    type: Literal["dora"]


class AdaLoraConfig(LowRankConfig):
    """AdaLoRA (arXiv 2303.10512): ranks that shrink while training, most where they matter least."""

    type: Literal["adalora"]
    init_r: Positive = 12
    """Every matrix's rank at the start."""
    target_r: Positive = 8
    """The mean rank at the end."""
    tinit: NonNegative = 0
    """Steps before ranks begin to shrink."""
    tfinal: NonNegative = 0
    """Steps at the end in which they no longer do."""

    @model_validator(mode="after")
    def _shrinks(self) -> "AdaLoraConfig":
        if self.target_r >= self.init_r:
            raise ValueError(f"target_r: {self.target_r} is not below init_r {self.init_r}, so no rank would shrink")
        return self


class VirtualTokensConfig(Section):
    """What prompt-learning methods share."""

    virtual_tokens: Positive = 20
    """How many stand before every prompt."""


class PrefixConfig(VirtualTokensConfig):
    """Prefix tuning (arXiv 2101.00190): the virtual tokens' keys and values of every layer are trained."""

    type: Literal["prefix"]


class PTuningV2Config(VirtualTokensConfig):
    """P-tuning v2 (arXiv 2110.07602): a prefix that a two-layer network makes while training."""

    type: Literal["p_tuning_v2"]
    hidden: Positive | None = None
    """The network's width; none: that of a key."""


class PTuningConfig(VirtualTokensConfig):
    """P-tuning (arXiv 2103.10385): the virtual tokens' embeddings, which a network makes while training."""

    type: Literal["p_tuning"]
    hidden: Positive | None = None
    """The network's width; none: that of an embedding."""


class PromptConfig(VirtualTokensConfig):
    """Prompt tuning (arXiv 2104.08691): the virtual tokens' embeddings alone."""

    type: Literal["prompt"]
    init_text: str | None = None
    """The embeddings start as this text's, repeated or cut; none: as those of tokens drawn from the vocabulary."""


def _tag(section: Any) -> str:
    """The branch that a section means; what names no type is a LoRA."""
    return TAG.format(section.get("type", "lora") if isinstance(section, dict) else getattr(section, "type", "lora"))


AdapterConfig = Annotated[
    Annotated[LoraConfig, Tag("type=lora")]
    | Annotated[DoraConfig, Tag("type=dora")]
    | Annotated[AdaLoraConfig, Tag("type=adalora")]
    | Annotated[PrefixConfig, Tag("type=prefix")]
    | Annotated[PTuningV2Config, Tag("type=p_tuning_v2")]
    | Annotated[PTuningConfig, Tag("type=p_tuning")]
    | Annotated[PromptConfig, Tag("type=prompt")],
    Discriminator(_tag),
]
