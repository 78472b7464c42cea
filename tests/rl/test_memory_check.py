"""The worst step is tried first, and a recipe that can't take it is told what can."""

from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import RunError
from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from models.load import LoadedModel, load_model
from rewards.composition import Member, RewardSet
from rl.memory_check import try_worst_step
from tests.rl.trainers import built

pytestmark = pytest.mark.engine

REWARDS = RewardSet([Member("r", lambda rollouts: [float(i % 2) for i in range(len(rollouts))])])


def trainer_with_room(tiny: LoadedModel, folder: Path, rows: int) -> Any:
    """A trainer whose memory holds that many rows, and what it was asked for."""
    trainer: Any = built(tiny, folder, REWARDS)
    compute = trainer.compute_loss
    trainer.asked = []

    def limited(model: Any, inputs: Any) -> Any:
        trainer.asked.append(tuple(inputs[name].shape for name in ("prompt_ids", "completion_ids")))
        if len(inputs["advantages"]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(model, inputs)

    trainer.compute_loss = limited
    return trainer


def test_fitting_step_leaves_no_trace(tiny: LoadedModel, tmp_path: Path) -> None:
    trainer = trainer_with_room(tiny, tmp_path, 8)
    state = torch.get_rng_state()
    try_worst_step(trainer, 30, 6)
    assert trainer.asked == [((8, 30), (8, 6))]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert not trainer._metrics["train"]


def seen(trainer: Any, run: Any) -> set[tuple[Any, ...]]:
    """How the model computes with gradients while `run()` runs."""
    found: set[tuple[Any, ...]] = set()
    layer = next(module for module in trainer.model.modules() if hasattr(module, "self_attn"))

    def look(module: Any, inputs: Any, output: Any) -> None:
        if torch.is_grad_enabled():
            found.add((output.logits.dtype, layer.training, layer.gradient_checkpointing, inside.pop()))

    inside: list[bool] = []
    head = trainer.model.get_output_embeddings()
    hooks = [
        head.register_forward_pre_hook(lambda *_: inside.append(torch.is_autocast_enabled("cpu"))),
        trainer.model.register_forward_hook(look),
    ]
    run()
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("checkpointing", [True, False])
def test_tried_step_equals_a_training_step(tiny: LoadedModel, tmp_path: Path, checkpointing: bool) -> None:
    fresh = load_model(ModelConfig(name=tiny.base, precision="fp32"), LoraConfig(r=4, alpha=8))  # training wraps it
    trainer = built(fresh, tmp_path, REWARDS, rollout={}, bf16=True, gradient_checkpointing=checkpointing)
    tried = seen(trainer, lambda: try_worst_step(trainer, 30, 6))
    assert "forward" not in vars(trainer.model)
    assert tried == seen(trainer, trainer.train) == {(torch.float32, True, checkpointing, True)}


@pytest.mark.parametrize("option", [{}, {"loss_type": "vespo"}])
def test_other_engines_step_is_tried(tiny: LoadedModel, tmp_path: Path, option: dict[str, Any]) -> None:
    try_worst_step(built(tiny, tmp_path, REWARDS, rollout={}, exact=False, **option), 30, 6)


def test_oversized_step_names_a_fitting_one(tiny: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"train_batch_size=2 trainer.gradient_accumulation_steps=4"):
        try_worst_step(trainer_with_room(tiny, tmp_path, 3), 30, 6)


def test_oversized_row_names_what_to_lower(tiny: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"8 rows of 30 \+ 6 tokens.*nor does one row: lower"):
        try_worst_step(trainer_with_room(tiny, tmp_path, 0), 30, 6)
