"""The calls that we make into TRL and Unsloth, as the pinned versions' sources have them; read, never imported."""

import ast
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.sources import ROOT, flat, function, parameters, parse, unsloth_packages

if TYPE_CHECKING:
    from models.load import LoadedModel


@pytest.fixture(scope="module")
def trl() -> ast.Module:
    spec = importlib.util.find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    return parse(Path(spec.origin).parent / "trainer" / "grpo_trainer.py")


OVERRIDDEN = {
    "_generate_and_score_completions": ["self", "inputs"],
    "_prepare_inputs": ["self", "generation_batch"],
    "_compute_loss": ["self", "model", "inputs"],
    "_get_per_token_logps_and_entropies": ["self", "model", "batch_size", "compute_aux_loss"],
}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_overridden_methods_keep_signatures(trl: ast.Module, name: str) -> None:
    assert parameters(function(trl, name, "GRPOTrainer")) == OVERRIDDEN[name]
    theirs = {f.name for f in ast.walk(trl) if isinstance(f, ast.FunctionDef)} - {"__init__"}
    assert own_functions("trl_internals") & theirs == {*OVERRIDDEN, "compute_loss"}
    assert not own_functions("trainer") & theirs


def own_functions(module: str) -> set[str]:
    return {node.name for node in ast.walk(parse(ROOT / "rl" / f"{module}.py")) if isinstance(node, ast.FunctionDef)}


def test_trl_privates_stay_in_one_module(trl: ast.Module) -> None:
    private = {node.attr for node in ast.walk(trl) if isinstance(node, ast.Attribute) and is_private(node.attr)}
    for path in (ROOT / "rl").glob("*.py"):
        used = {node.attr for node in ast.walk(parse(path)) if isinstance(node, ast.Attribute)}
        defined = {node.name for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef)}
        assert path.name == "trl_internals.py" or not (used - defined) & private, path.name


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("_generate", "output = self.rollout_func(prompts, self)"),
        ("_generate", "if self.use_vllm and self.state.global_step != self._last_loaded_step"),
        ("_generate_and_score_completions", "if self.use_vllm and self.vllm_importance_sampling_correction"),
        ("_compute_loss", "self.use_vllm and self.vllm_importance_sampling_correction and (self.loss_type != 'vespo')"),
        ("compute_loss", "return self._compute_loss(model, inputs)"),
        ("_generate", "required_keys = {'prompt_ids', 'completion_ids', 'logprobs'}"),
        ("_generate", "tool_mask = extra_fields.pop('env_mask', None)"),
        ("_generate_and_score_completions", "completion_mask if tool_mask is None else completion_mask * tool_mask"),
        ("_generate_and_score_completions", "inp[key] = values[i]"),
        ("_compute_loss", "completion_mask if 'tool_mask' not in inputs else completion_mask * inputs['tool_mask']"),
        ("_compute_loss", "(log_ratio * mask).sum(-1) / mask.sum(-1)"),
        ("_prepare_inputs", "self._buffered_inputs[self._step % self.args.steps_per_generation]"),
        ("_prepare_inputs", "shuffle_sequence_dict(generation_batch)"),
        ("_full_logits_logps", "entropy_requires_grad=self._entropy_bonus_enabled, temperature=self.temperature"),
        ("_compute_loss", "normalizer = inputs['num_items_in_batch'].clamp(min=1.0)"),
        ("_generate_and_score_completions", "'advantages': advantages"),
        ("_calculate_rewards", "reward_kwargs['trainer_state'] = self.state"),
        ("_calculate_rewards", "prompts=prompts, completions=completions, completion_ids=completion_ids_list"),
        ("log", "for key, val in self._metrics[mode].items()"),
    ],
)
def test_trl_source_has_relied_on_lines(trl: ast.Module, name: str, says: str) -> None:
    assert says in flat(function(trl, name, "GRPOTrainer"))


@pytest.fixture(scope="module")
def unsloth() -> Path:
    return unsloth_packages()


def called(path: str, name: str) -> set[str]:
    """The keywords with which our source calls `name`."""
    calls = [node for node in ast.walk(parse(ROOT / path)) if isinstance(node, ast.Call)]
    return {
        keyword.arg
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == name
        for keyword in call.keywords
        if keyword.arg is not None
    }


@pytest.mark.engine
def test_unsloth_takes_our_arguments(unsloth: Path) -> None:
    loader = function(parse(unsloth / "unsloth/models/loader.py"), "from_pretrained", "FastLanguageModel")
    ours = {"model_name", "max_seq_length", "load_in_4bit", "load_in_8bit", "fast_inference", "gpu_memory_utilization"}
    assert ours <= called("models/load.py", "from_pretrained")
    assert {*ours, "max_lora_rank"} <= set(parameters(loader))
    shape = function(parse(unsloth / "unsloth/models/llama.py"), "get_peft_model", "FastLlamaModel")
    assert {"r", "lora_alpha", "use_rslora"} <= called("models/load.py", "get_peft_model") <= set(parameters(shape))


@pytest.mark.engine
def test_unsloth_engine_takes_live_adapter(unsloth: Path) -> None:
    vllm = parse(unsloth / "unsloth_zoo/vllm_utils.py")
    found = parameters(function(vllm, "load_lora"))
    assert found[:3] == ["model", "save_directory", "load_tensors"]
    assert called("models/engines/unsloth.py", "load_lora") == {"load_tensors"}
    assert "vllm_engine" in (unsloth / "unsloth/models/llama.py").read_text(encoding="utf-8")


@pytest.mark.engine
def test_unsloth_keeps_our_rollout_func(unsloth: Path) -> None:
    """It rewrites TRL's trainer: `rollout_func` stays, weights that are shared are not synchronised."""
    patches = (unsloth / "unsloth/models/rl_replacements.py").read_text(encoding="utf-8")
    assert "rollout_func" not in patches
    assert "'shared_weights', False):" in patches


NEEDS = ["self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy"]


@pytest.mark.engine
def test_unsloth_loss_passes_our_trainer(
    unsloth: Path, tiny: "LoadedModel", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `compute_loss` asks for log-probabilities as its source says, and gets what its own method answers."""
    import torch
    from trl import GRPOTrainer

    from rewards.composition import Member, RewardSet
    from tests.rl.trainers import built

    patches = parse(unsloth / "unsloth/models/rl_replacements.py")
    name = "_get_per_token_logps_and_entropies"
    method = function(function(patches, f"grpo_trainer_{name}"), name)
    assert parameters(method) == [*NEEDS, "compute_efficient"]
    found: dict[str, Any] = {}
    exec(compile(ast.Module([method], []), "rl_replacements.py", "exec"), found)
    monkeypatch.setattr(GRPOTrainer, name, found[name])

    loss = function(function(patches, "grpo_trainer_compute_loss"), "compute_loss")
    assert "_compute_loss" not in {node.attr for node in ast.walk(loss) if isinstance(node, ast.Attribute)}
    asks = next(node for node in ast.walk(loss) if isinstance(node, ast.Assign) and "get_logps_func" in flat(node))
    rewards = RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))])
    trainer = built(tiny, tmp_path, rewards, backend="unsloth")
    ask = eval(compile(ast.Expression(asks.value), "rl_replacements.py", "eval"), {"self": trainer})
    ids = torch.ones(2, 5, dtype=torch.long)
    assert ask(trainer.model, ids, ids, 3, compute_efficient=True) is None  # the loss computes them itself, in pieces


@pytest.mark.engine
def test_memory_check_switches_unsloth_mode(unsloth: Path) -> None:
    assert "backend=loaded.backend" in flat(parse(ROOT / "rl" / "run.py"))
    trainer = (unsloth / "unsloth/models/rl.py").read_text(encoding="utf-8")
    assert "use_gc = _model._unsloth_gradient_checkpointing" in trainer
    assert "self.model.for_training(use_gradient_checkpointing=use_gc)" in trainer
    assert "self.model.for_inference()" in trainer
    assert called("rl/memory_check.py", "for_training") == {"use_gradient_checkpointing"}
    for name, takes in (("for_training", ["model", "use_gradient_checkpointing"]), ("for_inference", ["model"])):
        assert parameters(function(parse(unsloth / "unsloth/models/llama.py"), name, "FastLlamaModel")) == takes
