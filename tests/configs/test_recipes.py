"""Every shipped recipe loads; every kind of mistake is one clear line."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.recipe import RECIPES, load_recipe
from configs.schema.stages import STAGES

SHIPPED = sorted(path for stage in STAGES for path in (RECIPES / stage).glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_shipped_recipe_loads(path: Path) -> None:
    config = load_recipe(path.parent.name, path.name)
    assert config.output_dir == f"outputs/{path.parent.name}/{path.stem}"


@pytest.mark.parametrize(
    ("overrides", "kind", "sizes"),
    [
        ([], "lora", {"r": 16, "alpha": 32}),
        (["adapter.type=dora", "adapter.r=8"], "dora", {"r": 8, "alpha": 32}),
        (["adapter=null", "adapter.type=adalora"], "adalora", {"init_r": 12, "target_r": 8}),
        (["adapter=null", "adapter.type=prefix"], "prefix", {"virtual_tokens": 20}),
        (["adapter=null", "adapter.type=p_tuning_v2", "adapter.hidden=64"], "p_tuning_v2", {"hidden": 64}),
        (["adapter=null", "adapter.type=p_tuning"], "p_tuning", {"hidden": None}),
        (["adapter=null", "adapter.type=prompt", "adapter.virtual_tokens=30"], "prompt", {"virtual_tokens": 30}),
    ],
)
def test_adapter_is_of_its_type(overrides: list[str], kind: str, sizes: dict[str, int]) -> None:
    config = load_recipe("sft", "demo.yaml", overrides)
    assert config.adapter.type == kind
    assert config.adapter.model_dump().items() >= sizes.items()
    assert load_recipe("sft", config, ["seed=3"]).adapter == config.adapter


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["adapter.type=lorra"], r"adapter\.type: lorra; did you mean 'lora'\?"),
        (["adapter.type=bitfit"], r"adapter\.type: bitfit; known here: lora, dora, adalora, prefix, p_tuning_v2, "),
        (["adapter.rr=4"], r"adapter\.rr: unknown key of type=lora; did you mean 'r'\?"),
        (
            ["adapter.type=prefix"],
            r"adapter\.r: unknown key of type=prefix; known here: virtual_tokens, type; "
            r"adapter=null adapter\.type=prefix leaves out the recipe's \(and 1 more\)",
        ),
        (["adapter=null", "adapter.type=prompt", "adapter.virtual_tokens=0"], r"adapter\.virtual_tokens: .* than 0"),
        (["adapter=null", "adapter.type=adalora", "adapter.target_r=12"], "target_r: 12 is not below init_r 12"),
    ],
)
def test_wrong_adapter_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("sft", "demo.yaml", overrides)


def test_every_recipe_has_a_stage() -> None:
    assert {path.parent.name for path in RECIPES.glob("*/*.yaml")} <= {*STAGES, "tasks", "accelerate"}
    assert {"gsm8k.yaml", "gsm8k_cpu.yaml", "demo.yaml", "arithmetic_cpu.yaml"} <= {p.name for p in SHIPPED}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_step=3", r"trainer\.max_step: not a field of GRPOConfig; did you mean 'max_steps'\?"),
        ("trainer.max_steps=many", r"trainer\.max_steps: expected int, found 'many'"),
        ("trainer.save_strategy=no", r"trainer\.save_strategy: found False; YAML reads no, off, yes and on as that"),
        ("trainer.bf16=3", r"trainer\.bf16: expected bool or none, found 3"),
        ("trainer.output_dir=x", r"trainer\.output_dir: set output_dir at the top level"),
        ("trainer.push_to_hub=true", r"trainer\.push_to_hub: leave it out: python -m release\.publish publishes"),
        ("trainer.hub_token=hf_secret", r"trainer\.hub_token: leave it out, .* set HF_TOKEN"),
        ("trainer.num_generations=5", "5 does not divide the 64 completions"),
        ("trainer.num_generations=1", "a group needs at least 2"),
        ("trainer.num_generations=null", r"trainer\.num_generations: null; give a number"),
        ("trainer.max_completion_length=256", "leaves no room for a prompt"),
        ("trainer.max_completion_length=null", r"trainer\.max_completion_length: null; give a number"),
        ("trainer.per_device_train_batch_size=0", r"trainer\.per_device_train_batch_size: 0; it is at least 1"),
        ("trainer.gradient_accumulation_steps=0", r"trainer\.gradient_accumulation_steps: 0; it is at least 1"),
        ("trainer.steps_per_generation=0", r"trainer\.steps_per_generation: 0; it is at least 1"),
        ("trainer.num_iterations=0", r"trainer\.num_iterations: 0; it is at least 1"),
        ("trainer.top_k=-1", r"trainer\.top_k: Input should be greater than or equal to 0, found -1"),
        ("trainer.top_p=1.5", r"trainer\.top_p: Input should be less than or equal to 1, found 1\.5"),
        ("trainer.temperature=-1", r"trainer\.temperature: Input should be greater than or equal to 0, found -1"),
        ("trainer.temperature=0", r"trainer\.temperature: 0; a group of equal completions teaches nothing"),
        ("trainer.eval_strategy=steps", r"trainer\.eval_strategy: leave it out; `eval` measures"),
        ("eval.every=-1", r"eval\.every: Input should be greater than or equal to 0, found -1"),
        ("eval.patience=2", "eval: patience is of what is measured while training; set eval.every, or leave it out"),
        ("eval.watched=9", "eval: watched is of what is measured while training; set eval.every"),
        ("eval.metric=greedy", "eval: metric is of what is measured while training; set eval.every"),
        ("trainer.chat_template_kwargs={}", r"trainer\.chat_template_kwargs: leave it out: prompts are rendered"),
        ("model.nmae=x", r"model\.nmae: unknown key; did you mean 'name'\?"),
        ("model.max-length=3", r"model\.max-length: unknown key; did you mean 'max_length'\?"),
        ("1=2", r"demo\.yaml: 1: unknown key; known here: model, "),
        ("think_format={opne: a, end: b, end_tokens: [c]}", r"think_format\.opne: unknown key; did you mean 'open'\?"),
        ("think_format={open: a, prefill: '', end: b}", r"think_format\.end_tokens: missing, and it has no default"),
        ("rewards.0.wieght=1", r"rewards\.0\.wieght: unknown key; did you mean 'weight'\?"),
        ("rewards=[]", "rewards: empty; a run needs a reward, a teacher, or an environment with `get_reward`"),
        ("seed=abc", "seed: Input should be a valid integer, found 'abc'"),
        ("data.limit=0", r"data\.limit: Input should be greater than 0, found 0"),
        ("think_format=xlm", "think_format: Input should be 's1', 'deepseek', 'xml' or 'none', found 'xlm'"),
        ("model.precision=int4", r"model\.precision: Input should be"),
        ("seed", "not an override; write key.path=value"),
        ("rewards.7.name=x", "can't be set"),
    ],
)
def test_mistake_names_the_key_and_the_fix(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load_recipe("grpo", "demo.yaml", [override])
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_save_steps_may_be_a_fraction() -> None:
    assert load_recipe("grpo", "demo", ["trainer.save_steps=0.1"]).trainer["save_steps"] == 0.1
    four = ["trainer.steps_per_generation=32", "trainer.max_steps=16"]  # one generation is used for 4 steps
    assert load_recipe("grpo", "demo", [*four, "trainer.save_steps=0.25"]).steps_per_rollout == 4
    with pytest.raises(ConfigError, match=r"trainer\.save_steps: 2 is no multiple of the 4 steps"):
        load_recipe("grpo", "demo", [*four, "trainer.save_steps=0.1"])


def test_watching_waits_for_the_end_of_a_generation() -> None:
    four = ["trainer.steps_per_generation=32", "trainer.max_steps=16", "trainer.save_steps=4"]
    assert load_recipe("grpo", "demo", [*four, "eval.every=8"]).eval.every == 8
    with pytest.raises(ConfigError, match=r"eval\.every: 10 is no multiple of the 4 steps that one generation is used"):
        load_recipe("grpo", "demo", [*four, "eval.every=10"])


def test_one_criterion_chooses_the_weights() -> None:
    with pytest.raises(
        ConfigError, match=r"eval\.every: it saves the weights of the best accuracy, and the validation"
    ):
        load_recipe("sft", "gsm8k_traces", ["eval.every=10"])
    assert load_recipe("sft", "gsm8k_traces", ["eval.every=10", "validation=null"]).generates


def test_watching_alone_generates() -> None:
    assert load_recipe("sft", "demo", ["eval.when=[]", "eval.every=10"]).generates
    assert not load_recipe("sft", "demo", ["eval.when=[]"]).generates


@pytest.mark.parametrize(("step", "steps", "is_due"), [(0, 25, True), (9, 25, False), (20, 25, True), (25, 25, True)])
def test_every_step_and_the_last_are_watched(step: int, steps: int, is_due: bool) -> None:
    assert load_recipe("grpo", "demo", ["eval.every=10"]).eval.is_due(step, steps) is is_due
    assert not load_recipe("grpo", "demo").eval.is_due(step, steps)


@pytest.mark.parametrize("key", ["per_device_train_batch_size", "gradient_accumulation_steps"])
def test_sft_batch_of_zero_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{key}: 0; it is at least 1"):
        load_recipe("sft", "demo", [f"trainer.{key}=0"])


def test_recipe_is_found_by_path_and_by_name(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text((RECIPES / "grpo" / "demo.yaml").read_text())
    assert load_recipe("grpo", str(own)).output_dir == "outputs/grpo/mine"
    assert load_recipe("grpo", "demo").seed == load_recipe("grpo", "demo.yaml").seed


def test_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'demo\.yaml'\?"):
        load_recipe("grpo", "deno.yaml")


def test_later_override_wins_and_keeps_its_type() -> None:
    config = load_recipe(
        "grpo", "demo", ["trainer.learning_rate=5e-6", "trainer.learning_rate=2e-6", "model.name='12'"]
    )
    assert config.trainer["learning_rate"] == 2e-6
    assert config.model.name == "12"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_loaded_config_takes_overrides(path: Path) -> None:
    stage, changes = path.parent.name, ["output_dir=elsewhere"]
    assert load_recipe(stage, load_recipe(stage, path.name), changes) == load_recipe(stage, path.name, changes)
    with pytest.raises(ConfigError, match=rf"the {stage} config: trianer: unknown key"):
        load_recipe(stage, load_recipe(stage, path.name), ["trianer=1"])


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "a: 1\na: 2\n", "model: ${nope}\n"])
def test_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_recipe("grpo", str(path))


def test_custom_think_format_is_a_section(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = (RECIPES / "grpo" / "demo.yaml").read_text()
    own = "think_format: {open: <t>, end: '</t>\n', end_tokens: [</t>]}"
    path.write_text(text.replace("think_format: s1", own))
    from data.think_format import resolve_think_format

    found = resolve_think_format(load_recipe("grpo", str(path)).think_format)
    assert (found.open, found.end_tokens, found.system) == ("<t>", ("</t>",), None)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["adapter=null", "rollout.engine=vllm"],
            r"rollout\.engine: vllm gets the adapter anew .* adapter: null trains",
        ),
        (
            ["rollout.engine=unsloth", "model.backend=transformers"],
            r"rollout\.engine: unsloth .* model\.backend=unsloth",
        ),
    ],
)
def test_engine_that_cannot_follow_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("grpo", "demo", overrides)


@pytest.mark.parametrize(
    ("stage", "recipe", "limits"),
    [("grpo", "demo", "rollout.budget={max_answer: 9}"), ("eval", "gsm8k", "budgets=[{max_thinking: 9}]")],
)
def test_budget_without_thinking_is_refused(stage: str, recipe: str, limits: str) -> None:
    assert load_recipe(stage, recipe, ["think_format=none", "budgets=[{}]"][: 1 + (stage == "eval")])
    with pytest.raises(ConfigError, match="think_format none has no thinking to limit"):
        load_recipe(stage, recipe, ["think_format=none", limits])
