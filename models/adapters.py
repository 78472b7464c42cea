"""Adapters on a model: what a recipe's `adapter:` section is in PEFT, and a saved one that is used or trained on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from peft import (
    AdaLoraConfig,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors import SafetensorError

from configs.errors import ModelError, first_line
from configs.schema import adapters as schema
from configs.schema.sections import ModelConfig
from models.adapter_files import check_adapter, type_of
from models.protocols import CausalLM

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TASK = "CAUSAL_LM"


def put_adapter(
    model: "PreTrainedModel", config: ModelConfig, adapter: schema.AdapterConfig | None
) -> "PreTrainedModel | PeftModel":
    """`model` with the adapter that the recipe names or shapes; the model itself if it has neither."""
    if config.adapter is not None:
        return _saved(model, config.name, config.adapter, is_trained=adapter is not None)
    if adapter is None:
        return model
    if isinstance(adapter, schema.LowRankConfig):
        check_tied(model, adapter.target_modules)
    key = "adapter.target_modules" if isinstance(adapter, schema.LowRankConfig) else f"adapter.type: {adapter.type}"
    try:
        wrapped = get_peft_model(model, peft_config(adapter, model.name_or_path))
    except (ValueError, NotImplementedError) as error:
        raise ModelError(f"{key}: {first_line(error)}") from error
    return _settled(wrapped)


def peft_config(adapter: schema.AdapterConfig, source: str) -> PeftConfig:
    """PEFT's config of a fresh adapter; `source`: where the base model's tokenizer is."""
    match adapter:
        case schema.AdaLoraConfig():
            return AdaLoraConfig(
                task_type=TASK,
                init_r=adapter.init_r,
                target_r=adapter.target_r,
                tinit=adapter.tinit,
                tfinal=adapter.tfinal,
                total_step=adapter.tinit + adapter.tfinal + 1,  # until the trainer has counted its steps
                lora_alpha=adapter.alpha,
                lora_dropout=adapter.dropout,
                target_modules=adapter.target_modules,
            )
        case schema.FixedRankConfig():
            return LoraConfig(
                task_type=TASK,
                r=adapter.r,
                lora_alpha=adapter.alpha,
                lora_dropout=adapter.dropout,
                target_modules=adapter.target_modules,
                use_rslora=adapter.rslora,
                use_dora=adapter.type == "dora",
            )
        case schema.PrefixConfig():
            return PrefixTuningConfig(task_type=TASK, num_virtual_tokens=adapter.virtual_tokens)
        case schema.PTuningV2Config():
            return PrefixTuningConfig(
                task_type=TASK,
                num_virtual_tokens=adapter.virtual_tokens,
                prefix_projection=True,
                encoder_hidden_size=adapter.hidden,
            )
        case schema.PTuningConfig():
            return PromptEncoderConfig(
                task_type=TASK, num_virtual_tokens=adapter.virtual_tokens, encoder_hidden_size=adapter.hidden
            )
        case _:
            text = {"prompt_tuning_init_text": adapter.init_text, "tokenizer_name_or_path": source}
            return PromptTuningConfig(
                task_type=TASK,
                num_virtual_tokens=adapter.virtual_tokens,
                prompt_tuning_init="TEXT" if adapter.init_text else "SAMPLE_VOCAB",
                **(text if adapter.init_text else {}),
            )


def _settled(model: PeftModel) -> PeftModel:
    """`model` without what PEFT leaves in a fresh adapter and would not save, or should not.

    The text that a prompt started from is no part of it. AdaLoRA's count of ranks is no weight to train: on 4-bit
    weights it would be, and the saved adapter another.
    """
    config = model.peft_config["default"]
    if isinstance(config, PromptTuningConfig):
        config.prompt_tuning_init, config.prompt_tuning_init_text, config.tokenizer_name_or_path = "RANDOM", None, None
    for name, weight in model.named_parameters():
        if ".ranknum." in name:
            weight.requires_grad_(False)
    return model


def _saved(model: "PreTrainedModel", name: str, adapter: str, is_trained: bool) -> PeftModel:
    """A saved adapter on `model`, frozen or to be trained on. Raises `ModelError` where it does not fit."""
    check_adapter(adapter)
    try:
        config = PeftConfig.from_pretrained(adapter)
        if config.is_prompt_learning:
            _check_sizes(config, model)
        if not (is_trained and config.is_prompt_learning):
            wrapped = _settled(PeftModel.from_pretrained(model, adapter, is_trainable=is_trained))
            return wrapped if is_trained else wrapped.requires_grad_(False)  # PEFT leaves virtual tokens trainable
        wrapped = get_peft_model(model, _without_network(config))
        wrapped.load_adapter(adapter, "default", is_trainable=True)
        return wrapped
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"model.adapter: {adapter} does not fit {name}: {first_line(error)}") from error


def add_frozen(model: PeftModel, adapter: str, name: str) -> None:
    """Put a saved adapter beside those of `model`, frozen and switched off. Raises `ModelError` if it does not fit."""
    check_adapter(adapter)
    try:
        model.load_adapter(adapter, name, is_trainable=False)
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"model.adapter: {adapter} does not fit the base model: {first_line(error)}") from error


def _check_sizes(config: PeftConfig, model: "PreTrainedModel") -> None:
    """Raise `ValueError` for virtual tokens of another model's sizes, of which PEFT would say nothing."""
    sizes = model.config.get_text_config()
    layers, width, heads = sizes.num_hidden_layers, sizes.hidden_size, sizes.num_attention_heads
    if isinstance(config, PrefixTuningConfig):
        width = (getattr(sizes, "head_dim", None) or width // heads) * (
            getattr(sizes, "num_key_value_heads", None) or heads
        )
    if (config.num_layers, config.token_dim) != (layers, width):
        raise ValueError(
            f"its virtual tokens are of {config.num_layers} layers and width {config.token_dim}, the model's would be "
            f"of {layers} and {width}"
        )


def _without_network(config: PeftConfig) -> PeftConfig:
    """The config by which saved virtual tokens are trained on.

    PEFT saves what a network made of them, and not the network, so from there on they are trained themselves.
    """
    if isinstance(config, PromptEncoderConfig | PromptTuningConfig):  # the latter without the text it started from
        return PromptTuningConfig(task_type=TASK, num_virtual_tokens=config.num_virtual_tokens)
    if isinstance(config, PrefixTuningConfig):
        config.prefix_projection = False
    config.inference_mode = False
    return config


def check_tied(model: CausalLM, targets: str | Sequence[str]) -> None:
    """Raise `ModelError` for a LoRA on one matrix that is input and output at once: it can't be merged or exported."""
    tied = [name for name in ("embed_tokens", "lm_head") if name in targets and not isinstance(targets, str)]
    if tied and getattr(model.config, "tie_word_embeddings", False):
        raise ModelError(
            f"adapter.target_modules: {tied[0]} is tied to its twin (embed_tokens and lm_head are one matrix) in this "
            "model, so a LoRA on it can't be exported; leave both out, or take all-linear"
        )


def type_on(model: CausalLM) -> str | None:
    """The type of the adapter on `model`; None for one without."""
    config = getattr(model, "peft_config", {}).get("default")
    return None if config is None else type_of(vars(config))


def count_virtual_tokens(model: Any) -> int:
    """How many virtual tokens an adapter puts before every prompt; 0 for a model without one, or while it is off."""
    config = getattr(model, "peft_config", {}).get("default")
    if config is None or not config.is_prompt_learning or not model.has_active_enabled_adapter:
        return 0
    return int(config.num_virtual_tokens)
