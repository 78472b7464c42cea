"""A truncated policy: what engines report of it is what the loss has, and where nothing moved the ratio is 1."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from configs.schema.sections import EngineConfig, ModelConfig, SamplingConfig
from data.think_format import S1
from models.engines.base import Request
from models.engines.select import load_engine
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel
from rewards.composition import Member, RewardSet
from rl import truncation
from rl.rollout import prompts
from tests.rl.trainers import PROBLEMS, built, gradients, randomise
from tests.vllm_env import ENVIRONMENT

TRUNCATIONS = [
    SamplingConfig(top_p=0.9),
    SamplingConfig(top_k=5, temperature=0.7),
    SamplingConfig(min_p=0.3, temperature=1.3),
    SamplingConfig(top_p=0.8, top_k=40, min_p=0.02, temperature=0.6),
]
REWARDS = RewardSet([Member("r", lambda rollouts: [float(i % 3) for i in range(len(rollouts))])])
BUDGETS: list[dict[str, Any]] = [{}, {"budget": {"max_thinking": 8, "min_thinking": 4, "max_answer": 4}}]
engine_tier = pytest.mark.engine


@pytest.fixture(autouse=True)
def without_reference(request: pytest.FixtureRequest) -> Iterator[None]:
    """TRL keeps the adapter that a KL term compares with in the model, which all tests here share."""
    yield
    if "tiny" in request.fixturenames:
        model = request.getfixturevalue("tiny").model
        if "ref" in model.peft_config:
            model.delete_adapter("ref")


@pytest.fixture
def vllm(tiny: LoadedModel) -> Iterator[Any]:
    pytest.importorskip("vllm")
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"})
    config = ModelConfig(name=tiny.base, precision="fp32", max_length=256)
    engine = load_engine(EngineConfig(name="vllm", batch_size=8), config, S1, tiny)
    try:
        yield engine
    finally:
        engine.close()
        os.environ.clear()
        os.environ.update(before)


def kept(probabilities: Sequence[float], sampling: SamplingConfig) -> list[int]:
    """What a truncation keeps, by its definition; min-p, then top-k, then top-p."""
    order = sorted(range(len(probabilities)), key=lambda at: -probabilities[at])
    order = [at for at in order if probabilities[at] >= sampling.min_p * probabilities[order[0]]]
    order = order[: sampling.top_k or None]
    total, mass, found = sum(probabilities[at] for at in order), 0.0, []
    for at in order:
        if mass >= sampling.top_p:
            break
        found.append(at)
        mass += probabilities[at] / total
    return found


@pytest.mark.parametrize("sampling", TRUNCATIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dropped_tokens_have_no_probability(sampling: SamplingConfig, dtype: torch.dtype) -> None:
    logits = 3 * torch.randn(2, 70, 30, generator=torch.Generator().manual_seed(0))
    probabilities = (logits.to(dtype).float() / sampling.temperature).softmax(-1)
    targets = probabilities.argmax(-1)
    after = truncation.drop(logits.to(dtype), targets, sampling)
    assert after.isfinite().all()
    after = after / sampling.temperature
    assert after.isfinite().all()
    for row in range(2):
        for at in range(0, 70, 7):
            wanted = set(kept(probabilities[row, at].tolist(), sampling))
            found = set(after[row, at].softmax(-1).nonzero().flatten().tolist())
            ties = {
                token
                for token in found - wanted
                if probabilities[row, at, token] in probabilities[row, at, list(wanted)]
            }
            assert found - ties == wanted


def test_target_outside_widens_what_is_kept() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    found = truncation.drop(logits.clone(), torch.tensor([2]), SamplingConfig(top_k=1)).softmax(-1)
    assert found[0].tolist() == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0.0])


def test_gradient_stays_among_what_is_kept() -> None:
    weights = torch.tensor([[2.0, 1.0, 0.0, -1.0]], requires_grad=True)
    logits = truncation.drop(weights * 1.0, torch.tensor([1]), SamplingConfig(top_k=2))
    logits.log_softmax(-1)[0, 1].backward()
    share = 1 / (1 + torch.tensor(-1.0).exp())  # of the first of the two
    assert weights.grad is not None
    assert weights.grad[0].tolist() == pytest.approx([-float(share), float(share), 0.0, 0.0])


def test_line_names_the_settings() -> None:
    sampling = SamplingConfig(top_p=0.9, min_p=0.1)
    assert "top_p 0.9, min_p 0.1, in the loss as in the rollouts" in truncation.compared(sampling, True)
    assert "over the whole vocabulary" in truncation.compared(sampling, truncation.in_loss("unsloth", False))
    assert not truncation.in_loss("transformers", uses_liger=True)


def drawn(trainer: Any) -> dict[str, Any]:
    """A generation of all problems, as the trainer's batch."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    batch: dict[str, Any] = trainer.draw([{"prompt": "", "problem": at} for at in (0, 1) for _ in range(4)])
    return batch


def chosen(batch: dict[str, Any]) -> torch.Tensor:
    mask = batch["completion_mask"] * batch.get("tool_mask", 1)
    assert mask.sum() > 20
    return mask.bool()


def trainer_of(tiny: LoadedModel, folder: Path, sampling: SamplingConfig, **options: Any) -> Any:
    settings: dict[str, Any] = {name: value for name, value in sampling if name != "repetition_penalty"}
    fixed: dict[str, Any] = {"max_completion_length": 24, "vllm_importance_sampling_mode": "sequence_truncate"}
    trainer = built(tiny, folder, REWARDS, **(fixed | settings | options))
    randomise(trainer.model)
    return trainer


@engine_tier
@pytest.mark.parametrize("rollout", BUDGETS, ids=["plain", "budget"])
@pytest.mark.parametrize("sampling", TRUNCATIONS, ids=str)
@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
def test_unmoved_policy_has_ratio_one(
    tiny: LoadedModel,
    tmp_path: Path,
    sampling: SamplingConfig,
    rollout: dict[str, Any],
    packed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rl.trainer.can_pack", lambda _: packed)
    batch = drawn(trainer_of(tiny, tmp_path, sampling, exact=False, rollout=rollout))
    assert batch["importance_sampling_ratio"].flatten().tolist() == pytest.approx([1.0] * 8, abs=1e-3)
    gap = (batch["old_per_token_logps"] - batch["sampling_per_token_logps"])[chosen(batch)]
    assert gap.abs().max() < 1e-3


@engine_tier
def test_trl_reads_a_ratio_of_the_mass_kept(tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this module is for: without it the ratio fades with the length."""
    name = "_get_per_token_logps_and_entropies"
    trainer = trainer_of(tiny, tmp_path, SamplingConfig(top_p=0.9), exact=False)
    monkeypatch.setattr(type(trainer), name, getattr(GRPOTrainer, name))
    ratios = drawn(trainer)["importance_sampling_ratio"].flatten()
    assert ratios.max() < 0.7


@engine_tier
@pytest.mark.parametrize("sampling", TRUNCATIONS, ids=str)
def test_unseen_logits_are_compared_over_the_vocabulary(
    tiny: LoadedModel, tmp_path: Path, sampling: SamplingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the loss can't be truncated, the mass kept is added to what the engine reports; forced tokens keep 0.0."""
    monkeypatch.setattr(truncation, "in_loss", lambda *_: False)
    batch = drawn(trainer_of(tiny, tmp_path, sampling, exact=False, rollout=BUDGETS[1]))
    assert batch["importance_sampling_ratio"].flatten().tolist() == pytest.approx([1.0] * 8, abs=1e-3)
    forced = (batch["completion_mask"] * (1 - batch["tool_mask"])).bool()
    assert forced.any()
    assert (batch["sampling_per_token_logps"][forced] == 0.0).all()


@engine_tier
@pytest.mark.parametrize("option", [{}, {"beta": 0.1}, {"entropy_coef": 0.1}], ids=str)
def test_packed_gradients_equal_padded(
    tiny: LoadedModel, tmp_path: Path, option: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(tiny, tmp_path, SamplingConfig(top_p=0.8, temperature=0.9), **option)
    batch = drawn(trainer)
    found = []
    for packed in (True, False):
        monkeypatch.setattr("rl.trainer.can_pack", lambda _, packed=packed: packed)
        trainer._scorings.clear()
        found.append(gradients(trainer, trainer.compute_loss, batch))
    for one, other in zip(*found, strict=True):
        assert one.isfinite().all()
        assert torch.allclose(one, other, atol=1e-5)
    assert any(gradient.abs().max() > 0 for gradient in found[0][1:])


@engine_tier
def test_unmoved_policy_is_at_no_distance(tiny: LoadedModel, tmp_path: Path) -> None:
    """The reference is truncated too: a KL term of a fresh adapter is 0."""
    trainer = trainer_of(tiny, tmp_path, SamplingConfig(top_p=0.8), beta=0.1)
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.zero_()
    batch = drawn(trainer)
    trainer.compute_loss(trainer.model, batch)
    assert trainer._metrics["train"]["kl"][-1] == pytest.approx(0.0, abs=1e-6)


@engine_tier
def test_truncated_run_has_the_ratio_of_a_whole_one(tiny: LoadedModel, tmp_path: Path) -> None:
    means = []
    for name, sampling in (("whole", SamplingConfig()), ("cut", SamplingConfig(top_p=0.9))):
        trainer = trainer_of(tiny, tmp_path / name, sampling, exact=False, max_steps=4, learning_rate=1e-3)
        trainer.train()
        key = "sampling/importance_sampling_ratio/mean"
        means.append([row[key] for row in trainer.state.log_history if key in row])
    assert len(means[0]) == len(means[1]) == 4
    assert means[1] == pytest.approx(means[0], abs=1e-3)


@engine_tier
@pytest.mark.filterwarnings("ignore")  # vLLM's own
def test_rollouts_of_vllm_have_ratio_one(tiny: LoadedModel, vllm: Any, tmp_path: Path) -> None:
    for at, rollout in enumerate(BUDGETS):
        trainer = trainer_of(tiny, tmp_path / str(at), TRUNCATIONS[3], rollout=rollout, engine=vllm, max_steps=3)
        trainer.train()
        key = "sampling/importance_sampling_ratio/{}"
        rows = [row for row in trainer.state.log_history if key.format("mean") in row]
        assert len(rows) == 3
        for row in rows:
            assert [row[key.format(name)] for name in ("min", "mean", "max")] == pytest.approx([1.0] * 3, abs=1e-3)


@engine_tier
def test_engine_reports_what_the_check_computes(tiny: LoadedModel) -> None:
    from rl.policy_check import logprobs

    randomise(tiny.model)
    engine = TransformersEngine(tiny.model, tiny.tokenizer, S1, 256)
    ids = [tuple(tiny.tokenizer(text)["input_ids"]) for text in prompts(PROBLEMS, tiny.tokenizer, S1)]
    for sampling in TRUNCATIONS:
        made = engine.generate([Request(prompt, sampling, 12, logprobs=True) for prompt in ids])
        own = logprobs(tiny.model, [(g.prompt_ids, g.token_ids) for g in made], sampling)
        assert [value for g in made for value in g.logprobs] == pytest.approx(own, abs=1e-4)
