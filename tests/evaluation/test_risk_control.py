"""The tests behind a promise: their level holds exactly, and they prove more than the bounds that know no variance."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multinomial

from benchmarks.calibrate import hoeffding_bentkus
from evaluation.risk_control import (
    NUISANCE_LEVEL,
    Floats,
    betting_test,
    choose_test,
    exact_p_value,
    exact_test,
    fixed_sequences,
    interval,
    questions_needed,
    upper_bound,
)


def three_way(worse: int, better: int, same: int) -> Floats:
    """Losses of so many questions lost, won and unchanged."""
    return np.repeat([1.0, -1.0, 0.0], [worse, better, same])


@pytest.mark.parametrize("most", [0.0, 0.03, 0.1])
def test_exact_level_holds_over_the_whole_null(most: float) -> None:
    n = 36
    outcomes = [(worse, changed) for changed in range(n + 1) for worse in range(changed + 1)]
    p_values = np.array([exact_p_value(worse, changed, n, most) for worse, changed in outcomes])
    counts = np.array([(worse, changed - worse, n - changed) for worse, changed in outcomes])
    for better in (0.0, 0.001, 0.01, 0.05, 0.2, 0.4):
        for beyond in (0.0, 0.02):
            worse = better + most + beyond
            chances = multinomial.pmf(counts, n, [worse, better, 1 - worse - better])
            for level in (0.01, 0.05, 0.2):
                assert chances[p_values <= level].sum() <= level


def test_no_loss_at_all_is_the_rule_of_three() -> None:
    assert exact_p_value(0, 0, 299, 0.01) == pytest.approx(0.99**299 + NUISANCE_LEVEL)
    assert questions_needed(np.zeros(20), 0.01, 0.05, exact_test) == 299


def test_fewer_losses_prove_more() -> None:
    p_values = [exact_p_value(worse, 20, 600, 0.01) for worse in range(21)]
    assert p_values == sorted(p_values)
    assert p_values[0] < 0.001 < 0.9 < p_values[-1]


def test_betting_level_holds_on_the_boundary() -> None:
    rng, tries = np.random.default_rng(5), 600
    false = 0
    for _ in range(tries):
        losses = rng.choice([-0.5, -0.25, 0.0, 0.25, 0.75], size=400, p=[0.05, 0.1, 0.65, 0.16, 0.04])  # mean 0.02
        false += betting_test(losses, 0.02, 0.05) <= 0.05
    assert false / tries <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / tries)


def test_betting_takes_questions_in_any_order_of_the_file() -> None:
    losses = np.repeat([0.5, 0.0], [40, 400])
    first, last = betting_test(losses, 0.1, 0.05), betting_test(losses[::-1], 0.1, 0.05)
    assert first < 0.01
    assert last < 0.01


def test_more_is_proven_than_by_hoeffding_and_bentkus() -> None:
    rng = np.random.default_rng(0)
    proven = {"ours": 0, "betting": 0, "bentkus": 0}
    for _ in range(60):
        losses = rng.choice([1.0, -1.0, 0.0], size=1000, p=[0.01, 0.01, 0.98])
        proven["ours"] += exact_test(losses, 0.015) <= 0.05
        proven["betting"] += betting_test(losses, 0.015, 0.05) <= 0.05
        proven["bentkus"] += hoeffding_bentkus(losses, 0.015) <= 0.05
    assert proven["bentkus"] < 10 < 30 < proven["betting"] < proven["ours"]


def test_one_question_proves_nothing() -> None:
    assert exact_test(np.zeros(1), 0.01) > 0.9
    assert exact_test(np.ones(1), 0.01) == 1.0


def test_losses_outside_the_test_are_refused() -> None:
    for losses, most in ((np.array([]), 0.1), (np.array([1.5]), 0.1), (np.zeros(3), 1.0)):
        for test in (exact_test, betting_test):
            with pytest.raises(ValueError, match="can't be tested"):
                test(losses, most)
    with pytest.raises(ValueError, match="as those of single samples"):
        exact_test(np.array([0.5, 0.0]), 0.1)


def test_samples_choose_the_test() -> None:
    assert choose_test(1) is exact_test
    assert choose_test(4) is betting_test


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 400))
def test_bound_agrees_with_the_test(worse: int, better: int, same: int) -> None:
    losses = three_way(worse, better, same + 1)
    bound = upper_bound(losses, 0.95, exact_test)
    assert losses.mean() <= bound <= 1
    if 0 < bound < 0.99:
        assert exact_test(losses, bound) <= 0.05


def test_interval_is_of_both_signs() -> None:
    low, high = interval(three_way(0, 60, 240), 0.95, exact_test)
    assert -0.26 < low < -0.2 < high < -0.14
    assert interval(three_way(60, 0, 240), 0.95, exact_test) == pytest.approx((-high, -low))


def test_means_of_samples_need_questions_too() -> None:
    losses = np.repeat([0.25, -0.25, 0.0], [2, 2, 96])
    needed = questions_needed(losses, 0.01, 0.05, betting_test)
    assert needed is not None
    assert 100 < needed < 1000
    assert betting_test(losses, 0.01) > 0.05
    assert betting_test(np.repeat(losses, 1 + needed // 100), 0.01) <= 0.05
    assert questions_needed(np.full(50, 0.25), 0.01, 0.05, betting_test) is None


def test_chain_stops_at_its_first_failure() -> None:
    assert fixed_sequences([[0.01, 0.04, 0.2, 0.001]], 0.05) == [2]
    assert fixed_sequences([[0.2, 0.001]], 0.05) == [0]


def test_finished_chain_leaves_its_level_to_the_others() -> None:
    assert fixed_sequences([[0.02], [0.04]], 0.05) == [1, 1]
    assert fixed_sequences([[0.03], [0.04]], 0.05) == [0, 0]
    assert fixed_sequences([[0.02, 0.3], [0.04]], 0.05) == [1, 0]
    assert fixed_sequences([], 0.05) == []
