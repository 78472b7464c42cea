"""Pearson's correlation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.correlation import correlation


def test_correlation_needs_spread_on_both_sides() -> None:
    assert correlation([(0.0, 0.0), (1.0, 1.0)]) == pytest.approx(1.0)
    assert correlation([(0.5, 0.0), (0.5, 1.0)]) is None
    assert correlation([]) is None


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 1)), min_size=2, max_size=20))
def test_correlation_agrees_with_numpy(pairs: list[tuple[int, int]]) -> None:
    import numpy as np

    found = correlation(pairs)
    if found is not None:
        assert found == pytest.approx(np.corrcoef(np.array(pairs).T)[0, 1], abs=1e-9)
