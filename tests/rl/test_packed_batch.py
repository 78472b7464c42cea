"""Packed batches: what one sequence says of its groups is what plain TRL says of padded rows."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trl import GRPOTrainer

from models.load import LoadedModel
from models.packed_attention import can_pack
from rewards.composition import Member, RewardSet
from rl.packed_batch import pack
from rl.trl_batch import filled, regrouped, teaches
from tests.host_waits import HostWaits
from tests.rl.trainers import built, gradients, randomise

pytestmark = pytest.mark.engine

IDS = st.integers(3, 250)
GROUPS = st.lists(
    st.tuples(st.lists(IDS, min_size=1, max_size=9), st.lists(st.lists(IDS, max_size=7), min_size=1, max_size=4)),
    min_size=1,
    max_size=3,
).filter(lambda groups: any(tokens for _, rows in groups for tokens in rows))


def rows_of(groups: Any) -> tuple[list[list[int]], list[list[int]]]:
    return (
        [list(prompt) for prompt, rows in groups for _ in rows],
        [list(tokens) for _, rows in groups for tokens in rows],
    )


def padded(rows: list[list[int]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(1, *map(len, rows))
    fill = [[0] * (width - len(row)) for row in rows]
    both = [(f + row, [0] * len(f) + [1] * len(row)) if left else (row + f, [1] * len(row) + [0] * len(f))
            for f, row in zip(fill, rows, strict=True)]  # fmt: skip
    return torch.tensor([ids for ids, _ in both]), torch.tensor([mask for _, mask in both])


def batch(groups: Any, **more: Any) -> dict[str, Any]:
    """A batch as TRL's `_compute_loss` gets it."""
    prompts, completions = rows_of(groups)
    prompt_ids, prompt_mask = padded(prompts, left=True)
    completion_ids, completion_mask = padded(completions, left=False)
    generator = torch.Generator().manual_seed(len(prompts))
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": completion_mask,
        "advantages": torch.randn(len(prompts), generator=generator),
        "num_items_in_batch": completion_mask.sum(),
        **more,
    }


@pytest.fixture(scope="module")
def trainer(tiny: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    rewards = RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))])
    found = built(tiny, tmp_path_factory.mktemp("run"), rewards)
    randomise(found.model)
    return found


def plain(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """TRL's own loss, without anything of ours."""

    def compute(model: Any, inputs: Any) -> Any:
        with monkeypatch.context() as patch:
            name = "_get_per_token_logps_and_entropies"
            patch.setattr(type(trainer), name, getattr(GRPOTrainer, name))
            return GRPOTrainer._compute_loss(trainer, model, inputs)

    return compute


@settings(max_examples=25, deadline=None)
@given(groups=GROUPS)
def test_packed_logprobs_equal_padded(trainer: Any, groups: Any) -> None:
    inputs = batch(groups)
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    keep = inputs["completion_ids"].shape[1]
    trainer.model.eval()
    with torch.no_grad():
        expected = GRPOTrainer._get_per_token_logps_and_entropies(
            trainer, trainer.model, ids, mask, keep, compute_entropy=True
        )
        packed = pack(*rows_of(groups))
        found = trainer.log_probabilities(trainer.model, ids, mask, keep, compute_entropy=True)[:2]
    assert packed.ids.shape[1] == sum(len(set(map(tuple, [p]))) * len(p) for p in {tuple(p) for p, _ in groups}) + sum(
        max(len(tokens) - 1, 0) for _, rows in groups for tokens in rows
    )
    for mine, theirs in zip(found, expected[:2], strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-5)


GROUP = [([5, 6, 7, 8, 9, 10, 11], [[20, 21, 22, 23], [30], [40, 41], [50, 51, 52, 53, 54, 55]])]
TWO_GROUPS = [*GROUP, ([9, 8, 7], [[60, 61], [70, 71, 72], [80, 81], [90]])]
LONG = [([5, 6], [list(range(20, 20 + length)) for length in (3, 40, 90)])]


@pytest.mark.parametrize("groups", [GROUP, TWO_GROUPS, LONG], ids=["one group", "two groups", "long rows"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "forced"])
def test_packed_gradients_equal_trl(trainer: Any, monkeypatch: pytest.MonkeyPatch, groups: Any, masked: bool) -> None:
    inputs = batch(groups)
    if masked:
        inputs["tool_mask"] = (inputs["completion_ids"] % 3 > 0).long()
    theirs = gradients(trainer, plain(trainer, monkeypatch), inputs)
    ours = gradients(trainer, trainer._compute_loss, inputs)
    assert max(float(grad.abs().max()) for grad in theirs[1:]) > 1e-3
    for mine, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, their, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("reentrant", [True, False])
def test_layers_computed_anew_see_the_same(trainer: Any, reentrant: bool) -> None:
    plain = gradients(trainer, trainer._compute_loss, batch(TWO_GROUPS))
    trainer.model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    trainer.model.enable_input_require_grads()
    try:
        checkpointed = gradients(trainer, trainer._compute_loss, batch(TWO_GROUPS))
    finally:
        trainer.model.gradient_checkpointing_disable()
    for mine, their in zip(checkpointed, plain, strict=True):
        torch.testing.assert_close(mine, their, atol=1e-6, rtol=1e-5)


def test_waits_are_per_batch_not_per_row(trainer: Any) -> None:
    counts = []
    for rows in (2, 8):
        groups = [(list(range(3, 30)), [[40 + row, 50, 60][: 1 + row % 3] for row in range(rows)])]
        with HostWaits() as host:
            gradients(trainer, trainer._compute_loss, batch(groups))
        counts.append(host.waits)
    assert counts[0] == counts[1]
    assert counts[0]["tolist"] == 2  # the columns to keep, and the rows


def test_sliding_window_model_is_not_packed(tiny: LoadedModel) -> None:
    config = tiny.model.config
    assert can_pack(tiny.model)
    config.sliding_window = 16
    try:
        assert not can_pack(tiny.model)
    finally:
        del config.sliding_window


def test_rows_are_grouped_by_prompt() -> None:
    whole = batch([*TWO_GROUPS, ([4], [[1, 2], [3]]), ([3, 4], [[5], [6]])])
    whole["advantages"][:4] = 0.0
    order = torch.randperm(len(whole["advantages"]), generator=torch.Generator().manual_seed(5))
    mixed = {key: value[order] if value.dim() else value for key, value in whole.items()}
    halves = [{key: value[at : at + 6] if value.dim() else value for key, value in mixed.items()} for at in (0, 6)]
    found = regrouped(halves, 2)
    assert [len(part["advantages"]) for part in found] == [6, 6]
    rows = [tuple(row) for part in found for row in part["completion_ids"].tolist()]
    assert sorted(rows) == sorted(map(tuple, whole["completion_ids"].tolist()))
    assert torch.cat([teaches(part) for part in found]).tolist() == [True] * 8 + [False] * 4
    prompts = [tuple(row) for part in found for row in part["prompt_ids"].tolist()]
    assert sum(a != b for a, b in itertools.pairwise(prompts)) == len(set(prompts)) - 1
    assert (
        regrouped(halves, 1)[0]["advantages"].sort().values.tolist() == halves[0]["advantages"].sort().values.tolist()
    )


def test_batches_hold_as_many_tokens_as_with_padding() -> None:
    groups = [
        ([5] * 3, [[6] * length for length in (7, 1, 1, 1)]),
        ([4] * 3, [[6] * length for length in (1, 1, 1, 5)]),
    ]
    whole = batch(groups)
    halves = [{key: value[at : at + 4] if value.dim() else value for key, value in whole.items()} for at in (0, 4)]
    found = regrouped(halves, 2, by_tokens=True)
    assert [part["completion_mask"].sum(1).tolist() for part in found] == [[7, 1, 1, 1, 1, 1, 1], [5]]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 8))
def test_every_batch_has_a_row_and_none_too_many(sizes: list[int], parts: int) -> None:
    parts = min(parts, len(sizes))
    most = max(sizes) * -(-len(sizes) // parts)
    counts = filled(sizes, most, parts)
    assert len(counts) == parts
    assert min(counts) > 0
    ends = list(itertools.accumulate(counts))
    assert ends[-1] == len(sizes)
    assert all(sum(sizes[end - count : end]) <= most for end, count in zip(ends, counts, strict=True))


def test_accumulated_step_equals_trl(tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of four micro-batches, shuffled by TRL and brought together by us: the same weights."""

    def scored(rollouts: Any) -> list[float | None]:
        return [float(sum(r.completion_ids) % 3) for r in rollouts]

    start = {name: value.clone() for name, value in tiny.model.named_parameters() if value.requires_grad}
    after = []
    for ours in (True, False):
        with torch.no_grad():
            for name, value in tiny.model.named_parameters():
                if value.requires_grad:
                    value.copy_(start[name])
        with monkeypatch.context() as patch:
            if not ours:
                for name in ("_prepare_inputs", "_compute_loss", "_get_per_token_logps_and_entropies"):
                    patch.setattr("rl.trainer.RolloutTrainer." + name, getattr(GRPOTrainer, name))
            rewards = RewardSet([Member("scored", scored)])
            options: dict[str, Any] = {
                "gradient_accumulation_steps": 4,
                "per_device_train_batch_size": 4,
                "learning_rate": 1e-2,
            }
            trainer = built(tiny, tmp_path / str(ours), rewards, **options)
            trainer.train()
        after.append([p.detach().clone() for p in tiny.model.parameters() if p.requires_grad])
    assert any(not torch.equal(mine, value) for mine, value in zip(after[0], start.values(), strict=True))
    for mine, theirs in zip(*after, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
