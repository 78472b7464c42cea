"""Figures of sums: their intervals and tests, against closed forms and against statistics of means."""

import numpy as np
import pytest

from evaluation.metrics import Floats, cluster_bootstrap, mcnemar_exact, paired_bootstrap, wilson
from evaluation.pooled import pooled, pooled_change, swap_test
from rewards.grading.text_metrics.metric import mean_of


def column(values: Floats) -> Floats:
    return np.column_stack([values, np.ones(len(values))])


def ratio(sums: Floats) -> float:
    return float(sums[0] / sums[1])


def test_share_of_rows_is_wilsons() -> None:
    assert pooled(column(np.repeat([1.0, 0.0], [7, 13])), mean_of) == wilson(7, 20)


def test_mean_has_the_bootstraps_interval() -> None:
    scores = np.random.default_rng(1).random(80)
    mine, known = pooled(column(scores), mean_of, draws=10_000), cluster_bootstrap(scores[:, None])
    assert mine.value == pytest.approx(known.value)
    assert [mine.low, mine.high] == pytest.approx([known.low, known.high], abs=0.005)


def test_interval_of_a_ratio_covers_it() -> None:
    """Of samples of a population whose ratio of sums is known, about 95 in 100 intervals hold it."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        sizes = rng.integers(1, 9, size=60)
        rows = np.column_stack([rng.binomial(sizes, 0.3), sizes]).astype(float)
        interval = pooled(rows, ratio, draws=400)
        held += interval.low <= 0.3 <= interval.high
    assert held >= 178  # 0.95 · 200 = 190, less four standard deviations


def test_change_is_paired() -> None:
    rng = np.random.default_rng(3)
    before = rng.random(60)
    after = before + 0.05 * rng.random(60)
    mine = pooled_change(column(before), column(after), mean_of, draws=10_000)
    known = paired_bootstrap(before.tolist(), after.tolist())
    assert mine.value == pytest.approx(known.value)
    assert [mine.low, mine.high] == pytest.approx([known.low, known.high], abs=1e-3)
    assert mine.high - mine.low < 0.01  # each mean alone is known to 0.15


def test_swaps_agree_with_mcnemar() -> None:
    before = np.array([1.0] * 4 + [0.0] * 9 + [1.0] * 20)
    after = np.array([0.0] * 4 + [1.0] * 9 + [1.0] * 20)
    p = swap_test(column(before), column(after), mean_of, draws=20_000)
    assert p == pytest.approx(mcnemar_exact(4, 9), abs=0.02)
    assert swap_test(column(before), column(before), mean_of) == 1.0


def test_all_alike_is_not_certain() -> None:
    """As the bootstrap would have it; a ratio of sums has Wilson's interval of its rows then."""
    assert pooled(np.array([[0.0, 3.0], [0.0, 5.0], [0.0, 1.0]]), ratio) == wilson(0, 3)
    assert pooled(np.array([[3.0, 3.0], [5.0, 5.0]]), ratio) == wilson(2, 2)


def test_no_question() -> None:
    with pytest.raises(ValueError, match="no question"):
        pooled(np.zeros((0, 2)), mean_of)
