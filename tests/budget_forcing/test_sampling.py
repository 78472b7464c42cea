"""Draws from the final distribution, and the uniforms behind them."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from budget_forcing.sampling import BLOCK, Truncation, draw_tokens, uniform
from configs.schema.sections import SamplingConfig


def test_uniforms_are_uniform_and_independent() -> None:
    seeds, positions = np.repeat(np.arange(200), 200), np.tile(np.arange(200), 200)
    numbers = uniform(seeds, positions)
    assert kstest(numbers, "uniform").pvalue > 1e-4
    assert len(np.unique(numbers)) == len(numbers)
    table = numbers.reshape(200, 200)
    assert abs(np.corrcoef(table[:, :-1].ravel(), table[:, 1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(table[:-1].ravel(), table[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(numbers, uniform(seeds, positions, stream=1))[0, 1]) < 0.02


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5), st.integers(0, 2**40))
def test_uniform_depends_on_seed_and_position_only(seeds: list[int], position: int) -> None:
    together = uniform(seeds, [position] * len(seeds))
    assert all(0 <= number < 1 for number in together)
    assert [float(uniform([seed], [position])[0]) for seed in seeds] == together.tolist()


@pytest.mark.parametrize("vocabulary", [3, BLOCK, BLOCK + 1, 3 * BLOCK - 7])
def test_tokens_are_drawn_with_their_probability(vocabulary: int) -> None:
    torch.manual_seed(vocabulary)
    logits = torch.randn(1, vocabulary) * 2
    logits[:, ::5] = -torch.inf
    count = 20_000
    numbers = torch.from_numpy(uniform(np.arange(count), np.zeros(count)))
    tokens, logprobs = draw_tokens(logits.expand(count, -1), numbers)
    probabilities = logits.double().softmax(1)[0]
    torch.testing.assert_close(logprobs.double(), probabilities[tokens].log(), atol=1e-5, rtol=0)
    seen = torch.bincount(tokens, minlength=vocabulary).numpy()
    assert not seen[::5].any()
    expected = probabilities.numpy() * count
    rare = expected < 8  # chi-square wants counts
    groups = [np.append(counts[~rare], counts[rare].sum()) for counts in (seen, expected)]
    keep = groups[1] > 0
    assert chisquare(groups[0][keep], groups[1][keep]).pvalue > 1e-4


@pytest.mark.engine
def test_rounding_of_logits_keeps_the_draws() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2_000, 49_152) * 2  # a long tail, as an untrained model has
    numbers = torch.from_numpy(uniform(np.arange(2_000), np.zeros(2_000)))
    tokens, other = (draw_tokens(one, numbers)[0] for one in (logits, logits + 1e-5 * torch.randn_like(logits)))
    assert (tokens != other).sum() <= 1


@pytest.mark.engine
def test_rare_tokens_are_drawn_often_enough() -> None:
    logits = torch.zeros(1, 40_000)
    logits[0, 0] = 14.5  # the others have 2% together
    share = 1 - logits.double().softmax(1)[0, 0].item()
    numbers = torch.from_numpy(uniform(np.arange(4_000), np.zeros(4_000)))
    tokens = torch.cat([draw_tokens(logits.expand(len(part), -1), part)[0] for part in numbers.split(500)])
    rare = (tokens > 0).sum().item()
    assert abs(rare - 4_000 * share) < 4 * (4_000 * share) ** 0.5
    assert len(tokens[tokens > 0].unique()) > 0.95 * rare


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=30),
    st.floats(0, 0.9),
    st.integers(0, 12),
    st.floats(0.05, 1),
)
def test_truncation_follows_its_definition(values: list[float], min_p: float, top_k: int, top_p: float) -> None:
    sampling = SamplingConfig(min_p=min_p, top_k=top_k, top_p=top_p)
    truncation = Truncation.of([sampling])
    logits = torch.tensor([values])
    got = logits if truncation is None else truncation(logits)
    kept = {at for at, value in enumerate(values) if np.log(max(min_p, 1e-30)) <= value - max(values) + 1e-5}
    if top_k:
        ranked = sorted((values[at] for at in kept), reverse=True)
        kept = {at for at in kept if values[at] >= ranked[min(top_k, len(ranked)) - 1]}
    total = sum(np.exp(values[at]) for at in kept)
    above = {at: sum(np.exp(values[o]) for o in kept if values[o] > values[at]) / total for at in kept}
    sure = {at for at in kept if above[at] < top_p - 1e-5}
    possible = {at for at in kept if above[at] < top_p + 1e-5}
    finite = set(got.isfinite().nonzero()[:, 1].tolist())
    near = {at for at, value in enumerate(values) if min_p and abs(value - max(values) - np.log(min_p)) < 1e-4}
    if not near:  # at the very edge of min-p rounding decides
        assert sure <= finite <= possible
    assert int(logits.argmax()) in finite


def test_each_row_has_its_own_truncation() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0]]).repeat(4, 1)
    truncation = Truncation.of(
        [SamplingConfig(), SamplingConfig(top_k=1), SamplingConfig(top_p=0.8), SamplingConfig(min_p=0.9)]
    )
    assert truncation is not None
    assert truncation(logits).isfinite().sum(1).tolist() == [4, 1, 2, 1]
    assert Truncation.of([SamplingConfig(), SamplingConfig()]) is None


@pytest.mark.parametrize("temperature", [0.1, 3.0], ids=["few kept", "many kept"])
@pytest.mark.parametrize(
    "rows",
    [
        [SamplingConfig(top_p=0.5), SamplingConfig(top_p=0.95)],
        [SamplingConfig(top_p=0.9), SamplingConfig()],
        [SamplingConfig(top_k=4), SamplingConfig(top_k=9, top_p=0.6)],
        [SamplingConfig(top_k=30), SamplingConfig(top_p=0.9, min_p=0.01)],
    ],
    ids=["top-p", "one keeps all", "top-k", "large top-k"],
)
def test_sorting_fewer_tokens_first_changes_nothing(
    rows: list[SamplingConfig], temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(2, 100, generator=torch.Generator().manual_seed(0)) / temperature
    truncation = Truncation.of(rows)
    assert truncation is not None
    whole = truncation(logits)
    assert whole.isinf().any()
    monkeypatch.setattr("budget_forcing.sampling.CANDIDATES", 10)
    assert torch.equal(truncation(logits), whole)
