"""TRL's defaults, read from its source: they are the real classes', and hold wherever a recipe is silent."""

import dataclasses
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.recipe import load_recipe, validate
from configs.schema.grpo import GrpoConfig
from configs.schema.trl_fields import fields, trl_default


@pytest.mark.engine
@pytest.mark.parametrize("name", ["GRPOConfig", "SFTConfig"])
def test_defaults_match_the_real_class(name: str) -> None:
    import trl

    real = {field.name: field.default for field in dataclasses.fields(getattr(trl, name)) if field.init}
    assert fields(name).keys() == real.keys()
    computed = {"optim", "include_for_metrics"}
    assert {field: trl_default(name, field) for field in real.keys() - computed} == {
        field: default for field, default in real.items() if field not in computed
    }


@pytest.mark.parametrize("field", ["optim", "no_such_field"])
def test_unknown_default_raises_lookup_error(field: str) -> None:
    with pytest.raises(LookupError, match=field):
        trl_default("GRPOConfig", field)


def silent(**trainer: Any) -> GrpoConfig:
    config: GrpoConfig = validate(
        "grpo",
        {
            "model": {"name": "embedded", "max_length": 2048},
            "data": {"source": "arithmetic"},
            "rewards": [{"name": "correctness"}],
            "trainer": trainer,
        },
        "silent.yaml",
    )
    return config


def test_silent_recipe_has_trl_defaults() -> None:
    config = silent()
    assert config.completion_length == trl_default("GRPOConfig", "max_completion_length") == 512
    assert config.completions_per_generation == 8
    assert config.prompts_per_generation == 1
    assert config.steps_per_rollout == 1
    assert config.sampling.temperature == 1.0


def test_recipe_overrides_trl_default() -> None:
    config = silent(max_completion_length=96, steps_per_generation=4, num_generations=4)
    assert config.completion_length == 96
    assert config.completions_per_generation == 32
    assert config.prompts_per_generation == 8
    assert config.steps_per_rollout == 4


def test_schema_repeats_no_trl_default() -> None:
    for stage in ("grpo", "sft"):
        config = load_recipe(stage, "demo")
        left_out = fields(config.trl_class).keys() - config.trainer.keys() - {"optim", "include_for_metrics"}
        for name in left_out:
            assert config.trl_setting(name) == trl_default(config.trl_class, name)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.use_vllm=true", r"trainer\.use_vllm: TRL's own vLLM .* set rollout\.engine=vllm"),
        ("trainer.vllm_mode=colocate", r"trainer\.vllm_mode: the rollout engine doesn't have it"),
        ("trainer.repetition_penalty=1.1", r"trainer\.repetition_penalty: the rollout engine doesn't have it"),
    ],
)
def test_trl_generation_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("grpo", "demo", [override])


def test_vllm_importance_sampling_is_allowed() -> None:
    assert load_recipe("grpo", "demo", ["trainer.vllm_importance_sampling_mode=token_mask"])
