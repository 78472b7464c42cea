"""Dynamic sampling and the curriculum: groups that teach nothing are drawn anew, up to a bound, and counted."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.run_directory import RunDir, read_jsonl
from data.problem import Problem
from data.think_format import S1
from models.load import LoadedModel
from rewards.composition import Member, RewardSet
from rewards.rollout import Rollout
from rl.sampling import Curriculum
from tests.rl.trainers import built
from training.trainer import run_training

pytestmark = pytest.mark.engine

MANY = [Problem(str(i), f"{i} + 1?", str(i + 1), "test") for i in range(24)]


def hopeless_below(bound: int) -> RewardSet:
    """Problems below `bound` always get 0; the others' completions differ."""

    def reward(rollouts: Any) -> list[float | None]:
        return [float(i % 2) if int(r.problem.id) >= bound else 0.0 for i, r in enumerate(rollouts)]

    return RewardSet([Member("r", reward)])


def trained(tiny: LoadedModel, folder: Path, bound: int, **rollout: Any) -> tuple[Any, list[dict[str, Any]]]:
    trainer = built(tiny, folder, hopeless_below(bound), problems=MANY, rollout=rollout, max_steps=3,
                    per_device_train_batch_size=16)  # fmt: skip
    trainer.train()
    return trainer, list(read_jsonl(folder / "rollouts.jsonl"))


def history(trainer: Any, name: str) -> list[float]:
    return [row[name] for row in trainer.state.log_history if name in row]


def test_dropped_groups_are_counted(tiny: LoadedModel, tmp_path: Path) -> None:
    trainer, rows = trained(tiny, tmp_path, 12)
    flat = [sum(row["advantage"] == 0 for row in rows if row["step"] == step) / 4 for step in (1, 2, 3)]
    assert history(trainer, "dropped_groups") == flat
    assert sum(flat) > 0


def test_equal_reward_groups_are_resampled(tiny: LoadedModel, tmp_path: Path) -> None:
    trainer, rows = trained(tiny, tmp_path, 12, resamples=20)
    assert history(trainer, "dropped_groups") == [0.0, 0.0, 0.0]
    assert sum(history(trainer, "resampled_groups")) > 0
    assert all(row["advantage"] != 0 for row in rows)
    for step in (1, 2, 3):
        ids = [row["id"] for row in rows if row["step"] == step]
        assert [ids[at] for at in range(0, 16, 4) for _ in range(4)] == ids
        assert len(set(ids)) == 4
    prompts = {row["id"]: row["prompt"] for row in rows}
    assert all(f"\n{id} + 1?" in prompt for id, prompt in prompts.items())  # each completion belongs to its problem


def test_resampling_is_bounded(tiny: LoadedModel, tmp_path: Path) -> None:
    trainer, rows = trained(tiny, tmp_path, 24, resamples=2)
    assert history(trainer, "resampled_groups") == [8.0, 8.0, 8.0]
    assert history(trainer, "dropped_groups") == [4.0, 4.0, 4.0]
    assert len(rows) == 48


def rollout(problem: Problem, right: bool) -> Rollout:
    return Rollout(problem, S1.render("So.", problem.answer if right else "no"), S1)


def test_curriculum_prefers_partly_solved_problems() -> None:
    curriculum = Curriculum(MANY[:4], 4)
    for _ in range(10):
        curriculum.see([rollout(MANY[0], False), rollout(MANY[1], True)])
        curriculum.see([rollout(MANY[2], False), rollout(MANY[2], True)])
    never, always, sometimes, unseen = curriculum.chances().tolist()
    assert never < 0.5 < sometimes
    assert always < 0.5 < unseen


def test_curriculum_survives_checkpoint() -> None:
    curriculum = Curriculum(MANY[:4], 4)
    curriculum.see([rollout(MANY[0], False), rollout(MANY[2], True), rollout(MANY[2], True)])
    again = Curriculum(MANY[:4], 4)
    from types import SimpleNamespace

    state = SimpleNamespace(stateful_callbacks={"Curriculum": curriculum.state()})
    again.on_train_begin(None, state, None)
    assert torch.equal(again.chances(), curriculum.chances())
    assert curriculum.state() == {"seen": [[0, 0, 1], [2, 2, 2]]}


def test_resumed_run_can_add_curriculum(tiny: LoadedModel, tmp_path: Path) -> None:
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 1, "per_device_train_batch_size": 16}
    run = RunDir(tmp_path)
    for steps, curriculum in ((1, False), (2, True)):
        trainer = built(tiny, tmp_path, hopeless_below(12), problems=MANY, rollout={"curriculum": curriculum},
                        max_steps=steps, **options)  # fmt: skip
        run_training(trainer, run, resume=curriculum)
    state = json.loads((run / "checkpoints" / "checkpoint-2" / "trainer_state.json").read_text())
    assert sum(tried for _, _, tried in state["stateful_callbacks"]["Curriculum"]["seen"]) == 16


@pytest.mark.parametrize("resamples", [0, 3])
def test_curriculum_counts_every_completion(tiny: LoadedModel, tmp_path: Path, resamples: int) -> None:
    trainer, _ = trained(tiny, tmp_path, 12, resamples=resamples, curriculum=True)
    redrawn = sum(history(trainer, "resampled_groups")) if resamples else 0.0
    curriculum = trainer.sampler.curriculum
    assert curriculum.tried.sum() == 3 * 16 + 4 * redrawn  # every completion counts, those drawn in vain too
