"""LLaMA-Factory's arguments, key by key: taken, standing by default, or without a counterpart."""

from typing import Any

import pytest

from configs.errors import ConfigError
from configs.llamafactory import Imported, import_arguments
from configs.llamafactory_keys import ABSENT, STANDS, TAKEN, TOGETHER
from configs.recipe import validate
from configs.schema import trl_fields
from configs.schema.training import TrackingConfig

LEAST = {"model_name_or_path": "smollm2-135m", "dataset": "mine", "bf16": True}


def imported(**arguments: Any) -> Imported:
    found = import_arguments(LEAST | arguments, "run_mix")
    validate("sft", found.recipe, "train.yaml")
    return found


def at(recipe: dict[str, Any], key: str) -> Any:
    value: Any = recipe
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def kind_of(found: Imported, key: str) -> str:
    return next(note.kind for note in found.notes if note.key == key)


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        ({}, "data.path", "data/dataset_info.json#mine"),
        ({"dataset_dir": "sets/"}, "data.path", "sets/dataset_info.json#mine"),
        ({"dataset_dir": "ONLINE", "dataset": "org/set"}, "data.source", "org/set"),
        ({"cutoff_len": 512}, "model.max_length", 512),
        ({"adapter_name_or_path": "saves/a"}, "model.adapter", "saves/a"),
        ({"quantization_bit": 4}, "model.precision", "nf4"),
        ({"quantization_bit": 8}, "model.precision", "int8"),
        ({"bf16": False, "fp16": True}, "model.precision", "bf16"),
        ({"bf16": False}, "model.precision", "fp32"),
        ({"bf16": False}, "trainer.bf16", False),
        ({"finetuning_type": "full"}, "model.precision", "fp32"),
        ({"finetuning_type": "full", "pure_bf16": True}, "model.precision", "bf16"),
        ({"finetuning_type": "full"}, "adapter", None),
        ({"finetuning_type": "freeze"}, "trained_layers", 2),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": 4}, "trained_layers", 4),
        ({}, "adapter", {"r": 8, "alpha": 16}),
        ({"lora_rank": 64}, "adapter", {"r": 64, "alpha": 128}),
        ({"lora_rank": 64, "lora_alpha": 16, "lora_dropout": 0.1}, "adapter", {"r": 64, "alpha": 16, "dropout": 0.1}),
        ({"lora_target": "all", "use_rslora": True}, "adapter.target_modules", "all-linear"),
        ({"lora_target": "q_proj, v_proj"}, "adapter.target_modules", ["q_proj", "v_proj"]),
        ({"use_rslora": True}, "adapter.rslora", True),
        ({"use_unsloth": True}, "model.backend", "unsloth"),
        ({"max_samples": 1000}, "data.limit", 1000),
        ({"val_size": 0.1, "eval_strategy": "steps", "eval_steps": 20}, "validation", {"share": 0.1, "every": 20}),
        ({"val_size": 500}, "validation", {}),
        ({"eval_dataset": "dev"}, "validation.data.path", "data/dataset_info.json#dev"),
        ({"val_size": 0.1, "early_stopping_steps": 3}, "validation.patience", 3),
        ({"learning_rate": 1e-4}, "trainer.learning_rate", 1e-4),
        ({}, "trainer.learning_rate", 5e-5),
        ({"warmup_ratio": 0.1}, "trainer.warmup_steps", 0.1),
        ({"warmup_steps": 20, "warmup_ratio": 0.1}, "trainer.warmup_steps", 20),
        ({"lr_scheduler_type": "cosine", "max_steps": 7}, "trainer.max_steps", 7),
        ({"save_steps": 100}, "trainer.save_strategy", "steps"),
        ({"save_steps": 100, "save_strategy": False}, "trainer.save_strategy", "no"),
        ({"save_steps": 100, "val_size": 0.1}, "trainer.save_steps", None),
        ({"neftune_noise_alpha": 5}, "trainer.neftune_noise_alpha", 5),
        ({"packing": True}, "trainer.packing", True),
        ({"neat_packing": True}, "trainer.packing", True),
        ({"train_on_prompt": True}, "trainer.completion_only_loss", False),
        ({"enable_liger_kernel": True}, "trainer.use_liger_kernel", True),
        ({"disable_gradient_checkpointing": True}, "trainer.gradient_checkpointing", False),
        ({"report_to": "swanlab"}, "tracking.to", "swanlab"),
        ({"report_to": ["wandb"]}, "tracking.to", "wandb"),
        ({"use_swanlab": True, "swanlab_project": "p", "swanlab_mode": "local"}, "tracking.mode", "offline"),
        ({"seed": 7}, "seed", 7),
        ({"output_dir": "saves/a"}, "output_dir", "saves/a"),
    ],
)
def test_key_is_taken(arguments: dict[str, Any], key: str, expected: Any) -> None:
    assert at(imported(**arguments).recipe, key) == expected


QUOTED = {
    **{"cutoff_len": 512, "lora_rank": 4, "lora_alpha": 32, "lora_dropout": 0.05, "max_samples": 100, "seed": 7},
    **{"learning_rate": 1e-4, "num_train_epochs": 3, "warmup_ratio": 0.1, "weight_decay": 0, "max_grad_norm": 1.0},
    **{"per_device_train_batch_size": 2, "logging_steps": 5, "save_steps": 500, "neftune_noise_alpha": 5},
    **{"val_size": 0.1, "eval_steps": 50, "quantization_bit": 4, "gradient_accumulation_steps": 8},
    **{"packing": False, "use_rslora": True, "use_dora": False, "bf16": True, "fp16": False, "mask_history": True},
    **{"use_unsloth": False, "train_on_prompt": False, "enable_liger_kernel": False, "tf32": True},
    **{"pissa_init": False, "disable_shuffling": True, "output_dir": "1", "run_name": "2", "report_to": "none"},
}


def test_quoted_values_are_what_they_are_without_quotes() -> None:
    quoted = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in QUOTED.items()}
    plain, found = imported(**QUOTED), imported(**quoted)
    assert found.recipe == plain.recipe
    assert [(note.key, note.kind) for note in found.notes] == [(note.key, note.kind) for note in plain.notes]
    assert imported(learning_rate=" 1e-4\n").recipe["trainer"]["learning_rate"] == 1e-4


@pytest.mark.parametrize("off", ["false", "False", "no", "off", "0", 0, "n"])
def test_a_switch_that_is_off_is_off(off: Any) -> None:
    keys = ("packing", "use_dora", "bf16", "train_on_prompt", "tf32", "use_galore", "disable_gradient_checkpointing")
    found, plain = (imported(**dict.fromkeys(keys, value)) for value in (off, False))
    assert found.recipe == plain.recipe
    assert kind_of(found, "use_galore") == "default"


@pytest.mark.parametrize("value", ["no", "steps", "epoch"])
def test_words_stay_words(value: str) -> None:
    assert at(imported(save_strategy=value).recipe, "trainer.save_strategy") == value
    assert at(imported(run_name="yes").recipe, "trainer.run_name") == "yes"


def test_pre_training_is_imported() -> None:
    found = imported(stage="pt", cutoff_len=2048, train_on_prompt=True)
    assert at(found.recipe, "data.path") == "data/dataset_info.json#mine"
    assert (found.recipe["think_format"], found.recipe["bad_rows"]) == ("none", "skip")
    assert found.recipe["trainer"]["packing"] is True  # as there, unless the file says otherwise
    assert "loss_on" not in found.recipe
    assert "truncation" not in found.recipe  # texts are split
    assert kind_of(found, "packing (the default there)") == "taken"
    assert kind_of(found, "train_on_prompt") == "default"
    assert imported(stage="pt", packing="false").recipe["trainer"]["packing"] is False
    assert "packing" not in imported().recipe["trainer"]


@pytest.mark.parametrize(
    ("arguments", "key", "kind"),
    [
        ({"use_dora": True}, "use_dora", "taken"),
        ({"use_dora": False}, "use_dora", "default"),
        ({"mask_history": False}, "mask_history", "taken"),
        ({"mask_history": True}, "mask_history", "default"),
        ({}, "mask_history (the default there)", "taken"),
        ({"deepspeed": "ds_z3_config.json"}, "deepspeed", "none"),
        ({"template": "qwen"}, "template", "default"),
        ({"flash_attn": "fa2"}, "flash_attn", "default"),
        ({"no_such_key": 1}, "no_such_key", "none"),
        ({"quantization_bit": 3}, "quantization_bit", "none"),
        ({"report_to": "mlflow"}, "report_to", "none"),
        ({"report_to": "none"}, "report_to", "default"),
        ({"val_size": 500}, "val_size", "none"),
        ({"eval_steps": 20}, "eval_steps", "default"),
        ({"val_size": 0.1, "eval_strategy": "epoch"}, "eval_strategy", "none"),
        ({"val_size": 0.1, "eval_steps": 0.1}, "eval_steps", "none"),
        ({"val_size": 0.1, "save_steps": 100}, "save_steps", "none"),
        ({"finetuning_type": "full", "fp16": True}, "fp16", "taken"),
        ({"finetuning_type": "full", "lora_rank": 8}, "lora_rank", "default"),
        ({"freeze_trainable_layers": 4}, "freeze_trainable_layers", "default"),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": -2}, "freeze_trainable_layers", "none"),
        ({"adapter_name_or_path": "a", "create_new_adapter": True}, "create_new_adapter", "none"),
        ({"adapter_name_or_path": "a", "lora_rank": 8}, "lora_rank", "default"),
        ({"mix_strategy": "concat"}, "mix_strategy", "default"),
        ({"mix_strategy": "interleave_over"}, "mix_strategy", "none"),
        ({"resume_from_checkpoint": None}, "resume_from_checkpoint", "default"),
        ({"push_to_hub": True}, "push_to_hub", "none"),
        ({"max_steps": None}, "max_steps", "default"),
    ],
)
def test_key_without_a_counterpart_is_told(arguments: dict[str, Any], key: str, kind: str) -> None:
    assert kind_of(imported(**arguments), key) == kind


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stage": "dpo"}, "stage: dpo: preferences are not trained here"),
        ({"stage": "pt", "dataset": "a,b"}, "dataset: 2 data sets of texts, which are not mixed; import one, put"),
        ({"stage": "x"}, "stage: x: not known; sft and pt are imported"),
        ({"finetuning_type": "oft"}, "finetuning_type: oft has no counterpart; take one of lora, freeze, full"),
        ({"adapter_name_or_path": "a,b"}, "adapter_name_or_path: training goes on with one adapter"),
        (
            {"adapter_name_or_path": "a", "finetuning_type": "full"},
            r"merge others into the model first \(`mull export`\)",
        ),
        ({"dataset": None}, "dataset: missing, so nothing is trained; merging is `mull export`"),
        ({"lora_rank": "many"}, "lora_rank: expected a whole number, found 'many'"),
        ({"quantization_bit": "four"}, "quantization_bit: expected a whole number"),
        ({"cutoff_len": "long"}, "cutoff_len: 'long' is no value of it"),
        ({"dataset": "a,b", "dataset_dir": "ONLINE"}, "dataset_dir: ONLINE: several data sets are mixed from files"),
        ({"packing": "maybe"}, "packing: 'maybe' is no value of it"),
        ({"bf16": "maybe"}, "bf16: 'maybe' is no value of it"),
        ({"train_on_prompt": 3}, "train_on_prompt: 3 is no value of it"),
        ({"max_steps": "1e3"}, r"train\.yaml: trainer\.max_steps: expected int, found '1e3'"),
        ({"weight_decay": "nan"}, r"train\.yaml: trainer\.weight_decay: expected int or float, found 'nan'"),
        ({"learning_rate": "fast"}, r"train\.yaml: trainer\.learning_rate: expected int or float, found 'fast'"),
    ],
)
def test_what_is_no_sft_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        imported(**arguments)


def test_arguments_of_v1_are_named() -> None:
    with pytest.raises(ConfigError, match="model: the arguments of v1 are not imported"):
        import_arguments({"model": "a/b", "train_dataset": "x.yaml"}, "mix")


def test_several_data_sets_are_mixed() -> None:
    found = imported(dataset="a, b", max_samples=100)
    assert at(found.recipe, "data") == {"path": "outputs/curate/run_mix/train.jsonl"}
    mix = validate("curate", found.mix, "mix.yaml")
    assert [(source.path.partition("#")[2], source.cap) for source in mix.sources] == [("a", 100), ("b", 100)]
    assert mix.near_duplicates is None
    assert imported().mix is None


def test_rows_are_treated_as_there() -> None:
    recipe = imported().recipe
    assert (recipe["think_format"], recipe["truncation"], recipe["bad_rows"]) == ("deepseek", "cut", "skip")


def test_secrets_are_not_shown() -> None:
    assert not any("hf_abc" in str(note) for note in imported(hf_hub_token="hf_abc", swanlab_api_key="hf_abc").notes)


def test_tables_share_no_key() -> None:
    tables = [TAKEN.keys(), STANDS.keys(), ABSENT.keys(), set(TOGETHER)]
    assert sum(map(len, tables)) == len(set().union(*tables))


def test_taken_keys_exist() -> None:
    """Every target is a key of the recipe's schema, or a field of TRL's."""
    schema = validate("sft", {"model": {"name": "a"}, "data": {}, "validation": {}}, "a.yaml")
    for target, _ in TAKEN.values():
        section, _, name = target.partition(".")
        known = (
            trl_fields.fields("SFTConfig")
            if section == "trainer"
            else dict(getattr(schema, section) or {})
            if name
            else {}
        )
        assert hasattr(schema, section), target
        assert not name or name in known, target
    assert TrackingConfig(to="swanlab").project
