"""The recipe of `sft.train`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from configs.schema import trl_fields
from configs.schema.sections import DataConfig, Positive, Section
from configs.schema.training import TrainingConfig

TrainedTokens = Literal["last_turn", "all_turns", "every_token"]
"""Which tokens of a row carry loss."""


class ValidationConfig(Section):
    """Rows that are never trained on: the checkpoint with their lowest loss is the one that is kept."""

    data: DataConfig | None = None
    """Traces of their own; none: a share of the training data, near-duplicates on one side."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Without `data`: how much of the training data."""
    every: Positive = 50
    """Steps between two measurements, and between two checkpoints."""
    patience: Positive | None = None
    """Stop after so many measurements in a row without a lower loss; none: train to the end."""


class MixedConfig(DataConfig):
    """Rows beside those of `data`, such as general ones, so that a model does not forget them over a domain's."""

    share: Annotated[float, Field(gt=0, lt=1)]
    """Their part of all rows; what the shares leave is `data`'s."""


DECIDED = {
    "eval_strategy": "set validation.every",
    "eval_steps": "set validation.every",
    "load_best_model_at_end": "name a validation section",
    "packing_strategy": "leave it out: whole rows are packed, best fit first",
    "padding_free": "set trainer.packing=true",
    "assistant_only_loss": "set loss_on=all_turns; replies alone have loss unless trainer.completion_only_loss=false",
    "dataset_text_field": "map the columns with data.fields",
    "eos_token": "leave it out: it is what the chat template ends a turn with",
}
"""Fields of SFTConfig that our own data preparation or sections decide."""

VALIDATED = {
    "save_strategy": "leave it out: it is saved where it is validated",
    "save_steps": "set validation.every",
    "save_total_limit": "leave it out: the best checkpoint and the last are kept",
    "metric_for_best_model": "leave it out: it is the loss on the validation rows",
    "greater_is_better": "leave it out: the lowest loss on the validation rows is the best",
}
"""Fields that a validation section decides."""


class SftConfig(TrainingConfig):
    """`python -m sft.train`."""

    trl_class: ClassVar[str] = "SFTConfig"

    mix: list[MixedConfig] = []
    """More rows to train on, each source with its share: as many as the scarcest of them has, `data` included."""
    truncation: Literal["error", "drop", "cut"] = "error"
    """What happens to a row longer than `model.max_length`: refuse to train, leave it out, or cut its end. A document
    (a row of text alone) is split into pieces instead, and loses nothing."""
    loss_on: Literal["last_turn", "all_turns"] = "last_turn"
    """Which replies of a conversation carry loss: the last one, or all of them as LLaMA-Factory has it; earlier ones as
    they stand in the prompt, without their thinking."""
    bad_rows: Literal["stop", "skip"] = "stop"
    """What a row that can't be read does to the run; skipped ones are counted and kept in `rejected.jsonl`."""
    validation: ValidationConfig | None = None
    trained_layers: Positive | None = None
    """Without an adapter: train only the last so many layers and freeze the rest; none: every weight."""

    @model_validator(mode="after")
    def _check_trainer(self) -> "SftConfig":
        trl_fields.check_trainer_fields(self.trl_class, self.trainer)
        decided = DECIDED | (VALIDATED if self.validation else {})
        for key in decided.keys() & self.trainer.keys():
            raise ValueError(f"trainer.{key}: {decided[key]}")
        if self.validation and self.eval and self.eval.every:
            raise ValueError(
                "eval.every: it saves the weights of the best accuracy, and the validation section those of the lowest "
                "loss; leave one of them out"
            )
        if (shares := sum(mixed.share for mixed in self.mix)) >= 1:
            raise ValueError(f"mix: shares of {shares:g} in all leave nothing for `data`; lower them")
        if self.trainer.get("save_strategy") == "best":
            raise ValueError("trainer.save_strategy: best needs rows to validate on; name a validation section instead")
        if self.loss_on == "all_turns" and self.trained_tokens == "every_token":
            raise ValueError(
                "loss_on: trainer.completion_only_loss=false has loss on every token; leave out one of them"
            )
        if self.trained_layers and (self.adapter or self.model.adapter):
            raise ValueError("trained_layers: an adapter trains no layers of its own; set adapter=null")
        if self.adapter is None and self.model.precision in ("nf4", "int8"):
            raise ValueError(
                f"model.precision: {self.model.precision} weights can't be trained; set bf16, or give an adapter"
            )
        return self

    @property
    def trained_tokens(self) -> TrainedTokens:
        """As `loss_on` says, unless TRL's own field has the prompt trained too."""
        return "every_token" if self.trl_setting("completion_only_loss") is False else self.loss_on

    @property
    def drops_long_rows(self) -> bool:
        """As `truncation` says; a held-out problem is not cut, but left out."""
        return self.truncation != "error"
