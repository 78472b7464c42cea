"""The calls that we make into TRL, as the pinned version's source has them; Unsloth's are run, in `tests/unsloth`."""

import ast
import importlib.util
from pathlib import Path

import pytest

from tests.sources import ROOT, flat, function, parameters, parse


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
    "_get_train_sampler": ["self", "dataset"],
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
