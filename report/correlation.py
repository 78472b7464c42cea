"""Pearson's correlation, as the page and the reward statistics show it."""

import statistics
from collections.abc import Sequence


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's r; None with fewer than two pairs, and where one side does not vary."""
    if len(pairs) < 2:
        return None
    x, y = zip(*pairs, strict=True)
    if statistics.pstdev(x) < 1e-12 or statistics.pstdev(y) < 1e-12:
        return None
    return statistics.correlation(x, y)
