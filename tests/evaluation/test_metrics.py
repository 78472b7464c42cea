"""The statistics against independent implementations: enumeration, SciPy and statsmodels."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from evaluation import metrics

SHARES = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(SHARES, st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_agrees_with_statsmodels(share: tuple[int, int], level: float) -> None:
    successes, n = share
    interval = metrics.wilson(successes, n, level)
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    assert interval.value == successes / n
    assert interval.low == pytest.approx(low, abs=1e-12)
    assert interval.high == pytest.approx(high, abs=1e-12)
    assert interval.n == n


@given(SHARES)
def test_wilson_interval_holds_its_estimate(share: tuple[int, int]) -> None:
    interval = metrics.wilson(*share)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_invalid_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        metrics.wilson(successes, n)


def test_pass_at_k_agrees_with_enumeration() -> None:
    for n in range(1, 8):
        for c in range(n + 1):
            for k in range(1, n + 1):
                drawn = [any(i < c for i in picked) for picked in combinations(range(n), k)]
                assert metrics.pass_at_k(n, c, k) == pytest.approx(sum(drawn) / len(drawn), abs=1e-12)


@given(st.integers(1, 60), st.data())
def test_pass_at_k_grows_with_k(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    chances = [metrics.pass_at_k(n, c, k) for k in range(1, n + 1)]
    assert chances[0] == pytest.approx(c / n, abs=1e-12)
    assert chances == sorted(chances)
    assert chances[-1] == (1.0 if c else 0.0)


def test_pass_at_k_refuses_more_draws_than_samples() -> None:
    with pytest.raises(ValueError, match="pass@5"):
        metrics.pass_at_k(4, 1, 5)


def test_majority_ignores_missing_answers() -> None:
    assert metrics.majority(["7", None, None, None, "8", "8"]) == "8"
    assert metrics.majority([None, None]) is None
    assert metrics.majority([]) is None


def test_majority_tie_goes_to_the_first_or_none() -> None:
    assert metrics.majority(["9", "7", "7", "9"]) == "9"
    assert metrics.majority(["9", "7", "7", "9"], ties="none") is None


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_agrees_with_statsmodels(b: int, c: int) -> None:
    expected = 1.0 if b + c == 0 else mcnemar([[0, b], [c, 0]], exact=True).pvalue
    assert metrics.mcnemar_exact(b, c) == pytest.approx(expected, abs=1e-12)


def test_mcnemar_agrees_with_the_binomial_sum() -> None:
    tail = sum(comb(10, i) for i in range(3)) / 2**10
    assert metrics.mcnemar_exact(2, 8) == pytest.approx(2 * tail, abs=1e-12)


def test_sign_flips_agree_with_mcnemar() -> None:
    a = [1.0] * 4 + [0.0] * 9 + [1.0] * 20
    b = [0.0] * 4 + [1.0] * 9 + [1.0] * 20
    assert metrics.sign_flip(a, b) == pytest.approx(metrics.mcnemar_exact(4, 9), abs=0.01)
    assert metrics.sign_flip(a, a) == 1.0


def test_cluster_bootstrap_width_is_the_question_spread() -> None:
    rng = np.random.default_rng(1)
    clusters = (rng.random((400, 8)) < rng.beta(1, 1, (400, 1))).astype(float)
    interval = metrics.cluster_bootstrap(clusters)
    means = clusters.mean(axis=1)
    half = 1.96 * means.std(ddof=1) / np.sqrt(400)
    assert interval.value == pytest.approx(means.mean(), abs=1e-12)
    assert interval.high - interval.value == pytest.approx(half, rel=0.05)
    assert interval.value - interval.low == pytest.approx(half, rel=0.05)
    assert interval.n == 400


def test_cluster_bootstrap_covers_where_wilson_fails() -> None:
    """60 questions × 16 samples, a question's samples nearly alike: Wilson on 960 samples is far too sure."""
    rng = np.random.default_rng(7)
    inside, inside_wilson, tries = 0, 0, 200
    for attempt in range(tries):
        clusters = (rng.random((60, 16)) < rng.beta(0.2, 0.2, (60, 1))).astype(float)
        interval = metrics.cluster_bootstrap(clusters, draws=500, seed=attempt)
        naive = metrics.wilson(int(clusters.sum()), clusters.size)
        inside += interval.low <= 0.5 <= interval.high
        inside_wilson += naive.low <= 0.5 <= naive.high
    assert inside >= 0.88 * tries
    assert inside_wilson <= 0.7 * tries


def test_bootstrap_is_seeded() -> None:
    clusters = [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0, 1.0]]
    assert metrics.cluster_bootstrap(clusters, seed=3) == metrics.cluster_bootstrap(clusters, seed=3)
    values = np.random.default_rng(0).random((50, 1))
    assert metrics.cluster_bootstrap(values, seed=3) != metrics.cluster_bootstrap(values, seed=4)


def test_bootstrap_in_chunks_uses_every_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(30)
    monkeypatch.setattr(metrics, "CHUNK", 300)
    means = metrics.bootstrap_means(values, 1_005, 0)
    assert means.shape == (1_005,)
    assert means.mean() == pytest.approx(values.mean(), abs=0.01)


@pytest.mark.parametrize("clusters", [[], [[1.0], []]])
def test_bootstrap_refuses_empty_questions(clusters: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="without samples"):
        metrics.cluster_bootstrap(clusters)


def test_accuracy_of_single_samples_is_wilson() -> None:
    assert metrics.accuracy([[1.0], [0.0], [1.0]]) == metrics.wilson(2, 3)


def test_accuracy_of_equal_samples_is_wilson() -> None:
    assert metrics.accuracy([[0.0] * 4] * 30) == metrics.wilson(0, 30)
    assert metrics.accuracy([[1.0] * 4] * 30) == metrics.wilson(30, 30)


def test_paired_bootstrap_is_narrower() -> None:
    rng = np.random.default_rng(5)
    hard = rng.random(300)
    a = (hard < 0.4).astype(float)
    b = (hard < 0.5).astype(float)
    difference = metrics.paired_bootstrap(list(a), list(b))
    assert difference.value == pytest.approx(float((b - a).mean()), abs=1e-12)
    apart = metrics.wilson(int(b.sum()), 300).high - metrics.wilson(int(a.sum()), 300).low
    assert difference.high - difference.low < apart / 2
    with pytest.raises(ValueError, match="can't be paired"):
        metrics.paired_bootstrap([1.0], [1.0, 0.0])


def test_questions_needed_give_the_requested_power() -> None:
    """12% discordant one way, 4% the other: simulated at that size, the (mid-size) test sees it about 8 times in 10."""
    a = [1.0] * 4 + [0.0] * 12 + [1.0] * 84
    b = [0.0] * 4 + [1.0] * 12 + [1.0] * 84
    needed = metrics.questions_needed(a, b)
    assert needed is not None
    rng = np.random.default_rng(0)
    lost, won, _ = rng.multinomial(needed, [0.04, 0.12, 0.84], size=4_000).T
    chi = (won - lost) / np.sqrt(np.maximum(1, won + lost))
    assert (abs(chi) > 1.96).mean() == pytest.approx(0.8, abs=0.03)
    assert metrics.questions_needed(a, a) is None


def test_token_summary_agrees_with_numpy() -> None:
    tokens = [3, 1, 4, 1, 5, 9, 2, 6]
    assert metrics.token_summary(tokens) == {
        "mean": 3.875,
        "p50": 3.5,
        "p95": pytest.approx(np.percentile(tokens, 95)),
        "max": 9,
    }


def test_control_counts_values_inside_bounds() -> None:
    assert metrics.control([100, 200, 300, 400], 200, 300) == 0.5
    assert metrics.control([100, 200, 300, 400], high=300) == 0.75
    assert metrics.control([100, 200, 300], high=[100, 100, 400]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no token counts"):
        metrics.control([])


def test_scaling_is_the_mean_slope_of_all_pairs() -> None:
    points = [(4.0, 0.5), (1.0, 0.2), (2.0, 0.4)]
    slopes = [(0.4 - 0.2) / 1, (0.5 - 0.2) / 3, (0.5 - 0.4) / 2]
    assert metrics.scaling(points) == pytest.approx(sum(slopes) / 3, abs=1e-12)
    assert metrics.scaling([(1.0, 0.2), (1.0, 0.4)]) is None


@given(st.floats(-1, 1), st.lists(st.integers(0, 10_000), min_size=2, unique=True))
def test_scaling_of_a_line_is_its_slope(slope: float, tokens: list[int]) -> None:
    found = metrics.scaling([(float(x), slope * x) for x in tokens])
    assert found == pytest.approx(slope, abs=1e-9)


def test_performance_is_the_best_point() -> None:
    assert metrics.performance([(1.0, 0.2), (2.0, 0.6), (4.0, 0.5)]) == 0.6
