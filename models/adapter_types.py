"""What an adapter's type rules out, refused by name before anything is loaded."""

from configs.errors import ConfigError, ModelError
from configs.schema.adapters import PREFIX_TYPES, PROMPT_TYPES
from configs.schema.sections import ModelConfig
from configs.schema.training import TrainingConfig
from models.adapter_files import check_adapter, type_of

MERGEABLE = ("lora", "dora", "adalora")
"""Types that are a change of weights."""


def adapter_type(model: ModelConfig, training: TrainingConfig | None = None) -> str | None:
    """The type of the adapter that the model has or gets; None for one without. A hub id's counts as a LoRA."""
    if model.adapter is not None:
        return type_of(check_adapter(model.adapter))
    return training.adapter.type if training and training.adapter else None


def check_trained(kind: str | None, training: TrainingConfig) -> None:
    """Raise `ConfigError` for a recipe that asks of its adapter's type what it can't do."""
    if kind is None:
        return
    named = f"model.adapter: {training.model.adapter} is" if training.model.adapter else "adapter.type:"
    if training.adapter_types and kind not in training.adapter_types:
        kinds = " and ".join(training.adapter_types)
        raise ConfigError(f"{named} {kind}; this command trains {kinds}, sft.train every type")
    if training.engine in ("vllm", "unsloth", "server") and kind != "lora":
        raise ConfigError(f"rollout.engine: vLLM knows LoRA alone, not {kind}; set rollout.engine=transformers")
    if kind not in PROMPT_TYPES:
        return
    if training.trl_setting("packing"):
        raise ConfigError(
            f"trainer.packing: {named} {kind}, whose virtual tokens stand before a sequence, not before each row "
            "packed into it; set trainer.packing=false"
        )
    if kind in PREFIX_TYPES and training.trainer.get("gradient_checkpointing"):
        raise ConfigError(
            f"trainer.gradient_checkpointing: {named} {kind}, whose keys and values are a cache, and checkpointed "
            "layers have none; leave it out"
        )
    if kind not in PREFIX_TYPES and training.trainer.get("loss_type") == "dft":
        raise ConfigError(
            f"trainer.loss_type: dft would read a label off each of {kind}'s virtual tokens; leave it out"
        )


def checkpoints_activations(kind: str | None, training: TrainingConfig, on_gpu: bool) -> bool:
    """Whether the trainer recomputes activations: as the recipe says, else on a GPU, unless the type rules it out."""
    return bool(training.trainer.get("gradient_checkpointing", on_gpu and kind not in PREFIX_TYPES))


def check_held(kind: str | None, precision: str, has_gpu: bool) -> None:
    """Raise `ModelError` for an adapter on base weights packed so that PEFT 0.21 computes something else with it."""
    if kind == "adalora" and precision == "int8":
        raise ModelError(
            "model.precision: int8: AdaLoRA on 8-bit weights computes in another precision than the layers after it; "
            "take nf4 or bf16"
        )
    if kind == "dora" and precision in ("nf4", "int8") and not has_gpu:
        raise ModelError(
            f"model.precision: {precision}: DoRA reads the base weights, and bitsandbytes packs them otherwise on a "
            "CPU; take bf16 or fp32"
        )


def check_vllm_adapter(kind: str | None, key: str, way_out: str = "set engine.name=transformers") -> None:
    """Raise `ModelError` for an adapter that vLLM 0.30 does not load; `key` is named before, `way_out` after."""
    if kind not in (None, "lora"):
        raise ModelError(f"{key}: vLLM knows LoRA alone, and the adapter is {kind}; {way_out}")


def check_served(kind: str | None, run: str) -> None:
    """Raise `ModelError` for a run whose adapter `vllm serve` does not load."""
    merged, chat = f"serve its merged16 export: vllm serve {run}/exports/merged16", "talk to it with serving.chat"
    check_vllm_adapter(kind, run, merged if kind in MERGEABLE else f"{chat} --model {run}")


def check_mergeable(kind: str | None, target: str) -> None:
    """Raise `ModelError` for an export of an adapter that is no change of weights."""
    if kind is not None and kind not in MERGEABLE:
        raise ModelError(f"--to: {target}: {kind} changes no weight that it could be merged into; export adapter alone")
