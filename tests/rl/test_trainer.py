"""Our one subclass of TRL's GRPO trainer: what it overrides exists, and each batch is scored once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from configs.run_directory import RunDir, read_jsonl
from configs.sample import Sample
from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig, SamplingConfig
from data.problem import Problem
from data.think_format import S1
from models.engines.base import Request
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from rewards.composition import BrokenReward, Member, RewardSet
from rewards.rollout import Rollout
from rl import rollout
from rl.recorder import Recorder, Scored, samples
from tests.rl.trainers import PROBLEMS, built, gradients, randomise
from training.run_callback import RunCallback
from training.trainer import as_in_training, run_training
from training.trainer_internals import load_weights

pytestmark = pytest.mark.engine


def test_batch_is_scored_once(tiny: LoadedModel, tmp_path: Path) -> None:
    calls: list[list[Rollout]] = []

    def first(rollouts: Any) -> list[float | None]:
        calls.append(list(rollouts))
        return [float(len(r.text) % 5) for r in rollouts]

    def second(rollouts: Any) -> list[float | None]:
        return [None if i % 2 else 1.0 for i in range(len(rollouts))]

    rewards = RewardSet([Member("first", first, weight=2.0), Member("second", second)])
    seen: list[Scored] = []
    run = RunDir(tmp_path)

    class Spy(Recorder):
        def __call__(self, scored: Scored) -> None:
            seen.append(scored)
            super().__call__(scored)

    trainer = built(tiny, tmp_path, rewards, recorder=Spy(run, RunCallback(run, ()), "warn"))
    trainer.train()
    assert [len(batch) for batch in calls] == [8, 8]
    assert [scored.step for scored in seen] == [1, 2]
    for batch, scored in zip(calls, seen, strict=True):
        groups = [batch[i : i + 4] for i in (0, 4)]
        assert all(len({r.problem.id for r in group}) == 1 for group in groups)
        assert all(r.text.startswith(S1.prefill) and r.completion_tokens == len(r.completion_ids) <= 6 for r in batch)
        assert scored.totals[0] == 2.0 * scored.scores["first"][0] + 1.0  # type: ignore[operator]
        assert scored.totals[1] == 2.0 * scored.scores["first"][1]  # type: ignore[operator]
        for start in (0, 4):
            assert sum(scored.advantages[start : start + 4]) == pytest.approx(0, abs=1e-4)
    rows = list(read_jsonl(tmp_path / "rollouts.jsonl"))
    assert [row["step"] for row in rows] == [1] * 8 + [2] * 8
    assert rows[1]["rewards"]["second"] is None
    assert rows[0]["prompt"] in rollout.prompts(PROBLEMS, tiny.tokenizer, S1)


def test_everything_is_drawn_in_the_arithmetic_of_the_loss(tiny: LoadedModel, tmp_path: Path) -> None:
    """The model's forward passes, with and without gradients, before training and in it, are the autocast's."""
    # a model of its own: accelerate prepares none twice
    tiny = load_model(ModelConfig(name=tiny.base, precision="fp32"), LoraConfig(r=4, alpha=8))
    rewards = RewardSet([Member("r", lambda rollouts: [float(i % 2) for i in range(len(rollouts))])])
    engine = TransformersEngine(tiny.model, tiny.tokenizer, S1, 256)
    trainer = built(tiny, tmp_path, rewards, engine=engine, bf16=True)
    passes: list[tuple[bool, bool]] = []
    layer = tiny.model.get_input_embeddings()
    handle = layer.register_forward_pre_hook(
        lambda *_: passes.append((torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
    )
    with as_in_training(trainer, engine):
        engine.generate([Request((1, 2, 3), SamplingConfig(), 2)])
    drawn_before = len(passes)
    trainer.train()
    handle.remove()
    assert drawn_before == 2
    assert set(passes) == {(False, True), (True, True)}


def test_broken_reward_stops_the_run(tiny: LoadedModel, tmp_path: Path) -> None:
    calls = []

    def breaks_later(rollouts: Any) -> list[float | None]:
        calls.append(len(rollouts))
        return [float("nan") if len(calls) == 2 and i == 3 else 1.0 for i in range(len(rollouts))]

    trainer = built(tiny, tmp_path, RewardSet([Member("breaks_later", breaks_later)]))
    with pytest.raises(BrokenReward, match="reward 'breaks_later', row 3"):
        trainer.train()
    written = list(read_jsonl(tmp_path / "alarms.jsonl"))
    assert [(row["step"], row["alarm"]) for row in written] == [(2, "broken_reward")]
    assert written[0]["samples"][0]["id"] in {p.id for p in PROBLEMS}


def test_sample_records_score_and_forced_text(tiny: LoadedModel, tmp_path: Path) -> None:
    budget = {"max_thinking": 4, "final_answer_text": "A:", "max_answer": 4}
    rewards = RewardSet([Member("r", lambda rollouts: [float(i % 2) for i in range(len(rollouts))])])
    trainer = built(tiny, tmp_path, rewards, rollout={"budget": budget}, max_completion_length=32)
    trainer.train()
    rows = list(read_jsonl(tmp_path / "rollouts.jsonl"))
    assert all(row["score"] == 0.0 for row in rows)
    assert [row["sample"] for row in rows] == [0, 1, 2, 3] * 4
    forced = ["".join(row["text"][start:end] for start, end in row["forced"]) for row in rows if row["stop"] == "limit"]
    assert forced
    assert all(S1.end + "A:" in text for text in forced)
    assert [Sample.from_row(row).to_row().keys() for row in rows] == [row.keys() for row in rows]
    right = Rollout(PROBLEMS[0], S1.render("So.", PROBLEMS[0].answer), S1)
    assert samples(Scored(1, [right], {"r": [None]}, [None], [0.0]))[0].is_right


@pytest.mark.parametrize("known", [True, False])
def test_resumed_run_keeps_monitor_state(tiny: LoadedModel, tmp_path: Path, known: bool) -> None:
    rewards = RewardSet([Member("r", lambda rollouts: [float(i % 2) for i in range(len(rollouts))])])
    options: dict[str, Any] = {"max_steps": 4, "save_steps": 2}
    whole = built(tiny, tmp_path, rewards, rollout={}, **options)
    whole.train()
    checkpoint = tmp_path / "checkpoints" / "checkpoint-2"
    kept = json.loads((checkpoint / "trainer_state.json").read_text())
    past = kept["stateful_callbacks"].pop("Recorder")["past"]["tokens"]
    assert past == whole.recorder.monitor.state()["past"]["tokens"][:2]
    if not known:  # a checkpoint from before they were kept
        (checkpoint / "trainer_state.json").write_text(json.dumps(kept))
    again = built(tiny, tmp_path, rewards, rollout={}, **options)
    shutil.rmtree(tmp_path / "checkpoints" / "checkpoint-4")
    run_training(again, RunDir(tmp_path), resume=True)
    found = again.recorder.monitor.state()["past"]["tokens"]
    assert (found[:2] == past and len(found) == 4) if known else len(found) == 2
    assert "Recorder" in (tmp_path / "checkpoints" / "checkpoint-4" / "trainer_state.json").read_text()


def test_checkpoint_holds_the_trained_adapter_alone(tiny: LoadedModel, tmp_path: Path) -> None:
    """With TRL's reference beside it in a folder of its own, Transformers would resume from that."""
    loaded = load_model(ModelConfig(name=tiny.base, precision="fp32"), LoraConfig(r=4, alpha=8))
    randomise(loaded.model)
    rewards = RewardSet([Member("r", lambda rollouts: [float(i % 2) for i in range(len(rollouts))])])
    options: dict[str, Any] = {"max_steps": 2, "save_steps": 2, "learning_rate": 1e-2, "beta": 0.1}
    trainer = built(loaded, tmp_path, rewards, **options)
    trainer.train()
    checkpoint = tmp_path / "checkpoints" / "checkpoint-2"
    assert "ref" in loaded.model.peft_config
    assert (checkpoint / "adapter_model.safetensors").is_file()
    assert not (checkpoint / "ref").exists()
    trained = {name: value.clone() for name, value in loaded.model.named_parameters() if ".default." in name}
    with torch.no_grad():
        for value in trained:
            loaded.model.get_parameter(value).zero_()
    load_weights(trainer, str(checkpoint))
    for name, value in trained.items():
        torch.testing.assert_close(loaded.model.get_parameter(name), value, check_dtype=False)


def test_order_of_problems_is_of_seed_and_epoch(tiny: LoadedModel, tmp_path: Path) -> None:
    """A run that is resumed in its second epoch has that epoch's order, as one that came there by itself."""
    rewards = RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))])
    problems = [Problem(str(i), f"{i} + 1?", str(i + 1), "test") for i in range(40)]
    went_on, resumed = (
        built(tiny, tmp_path, rewards, problems=problems)._get_train_sampler() for _ in ("went on", "resumed")
    )
    went_on.set_epoch(0)
    first = list(went_on)
    for sampler in (went_on, resumed):
        sampler.set_epoch(1)
    second = list(went_on)
    assert second == list(resumed)
    assert second != first
    assert sorted(second) == sorted(first)


def test_unsloth_model_uses_unsloth_loss(tiny: LoadedModel, tmp_path: Path) -> None:
    rewards = RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))])
    found = [built(tiny, tmp_path, rewards, backend=backend) for backend in ("transformers", "unsloth")]
    assert [(t.scoring(t.model) is not None, t.skips_rows, t.adds_up) for t in found] == [(True,) * 3, (False,) * 3]


def batch(tiny: LoadedModel) -> dict[str, Any]:
    """Four rows as TRL's `_compute_loss` gets them: padded prompts and completions, two rows without an advantage."""
    generator = torch.Generator().manual_seed(3)
    prompt_mask = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [0, 1, 1, 1, 1]])
    completion_mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0]])
    return {
        "prompt_ids": torch.randint(3, 250, (4, 5), generator=generator) * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": torch.randint(3, 250, (4, 6), generator=generator) * completion_mask,
        "completion_mask": completion_mask,
        "advantages": torch.tensor([1.5, 0.0, 0.0, -0.7]),
        "num_items_in_batch": torch.tensor(11),
    }


@pytest.mark.parametrize("advantages", [[1.5, 0.0, 0.0, -0.7], [0.0] * 4, [0.3, -0.3, 1.0, -1.0]])
def test_skipped_rows_keep_trl_gradients(tiny: LoadedModel, tmp_path: Path, advantages: list[float]) -> None:
    trainer = built(tiny, tmp_path, RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))]))
    randomise(trainer.model)
    inputs = batch(tiny) | {"advantages": torch.tensor(advantages)}
    assert trainer.skips_rows
    plain = gradients(trainer, lambda model, rows: GRPOTrainer._compute_loss(trainer, model, rows), inputs)
    ours = gradients(trainer, trainer._compute_loss, inputs)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("option", [{"beta": 0.1}, {"loss_type": "grpo"}, {"entropy_coef": 0.1}])
def test_contributing_rows_are_not_skipped(tiny: LoadedModel, tmp_path: Path, option: dict[str, Any]) -> None:
    rewards = RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))])
    assert not built(tiny, tmp_path, rewards, **option).skips_rows


def test_importance_ratio_weighs_the_loss(tiny: LoadedModel, tmp_path: Path) -> None:
    rewards = RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))])
    inputs = batch(tiny) | {"importance_sampling_ratio": torch.full((4, 6), 2.0)}
    exact, other = (built(tiny, tmp_path, rewards, rollout={}, exact=is_exact) for is_exact in (True, False))
    randomise(tiny.model)
    plain, weighed = (gradients(trainer, trainer.compute_loss, inputs) for trainer in (exact, other))
    assert any(gradient.abs().sum() > 0 for gradient in plain)
    for once, twice in zip(plain, weighed, strict=True):
        torch.testing.assert_close(twice, 2 * once, atol=1e-6, rtol=1e-5)
    assert not other.use_vllm  # on for the loss alone: elsewhere it would start TRL's vLLM
