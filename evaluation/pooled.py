"""Figures that are functions of sums over questions (corpus BLEU, micro F1, means), with bootstrap intervals.

Questions are what is resampled; of two runs on the same questions the same ones. Sources: Koehn 2004 (bootstrap of
corpus scores); Riezler and Maxwell 2005 (approximate randomisation).
"""

from collections.abc import Callable, Iterator

import numpy as np

from evaluation.metrics import CHUNK, Floats, Interval, wilson
from rewards.grading.text_metrics.metric import mean_of

Value = Callable[[Floats], float]
"""(S,) sums → the figure."""
DRAWS = 2_000


def pooled(rows: Floats, value: Value, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Interval:
    """`value` of the summed rows (questions, S), with a percentile interval; Wilson's for a share of rows, and where
    all resamples are 0 or 1, as the bootstrap would claim certainty.

    Raises `ValueError` on no rows.
    """
    if not len(rows):
        raise ValueError("no question")
    if value is mean_of and np.all((rows[:, 0] == 0) | (rows[:, 0] == rows[:, 1])) and len({*rows[:, 1]}) == 1:
        return wilson(int((rows[:, 0] > 0).sum()), len(rows), level)
    drawn = [value(sums) for sums in _resampled(rows, draws, seed)]
    if {*drawn} in ({0.0}, {1.0}):
        return wilson(int(drawn[0]) * len(rows), len(rows), level)
    return _interval(value(rows.sum(axis=0)), drawn, level, len(rows))


def pooled_change(
    before: Floats, after: Floats, value: Value, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """`value` after less `value` before; both (questions, S), row q of each the same question."""
    both = np.hstack([before, after])
    width = before.shape[1]

    def change(sums: Floats) -> float:
        return value(sums[width:]) - value(sums[:width])

    drawn = [change(sums) for sums in _resampled(both, draws, seed)]
    return _interval(change(both.sum(axis=0)), drawn, level, len(both))


def swap_test(before: Floats, after: Floats, value: Value, draws: int = DRAWS, seed: int = 0) -> float:
    """Two-sided p-value that the two runs are exchangeable within questions, by swapping them at random."""
    total, sums = before.sum(axis=0) + after.sum(axis=0), before.sum(axis=0)
    seen = abs(value(total - sums) - value(sums)) - 1e-12  # changes that are equal but for rounding count as equal
    rng = np.random.default_rng(seed)
    per_chunk = max(1, CHUNK // len(before))
    extreme = 0
    for start in range(0, draws, per_chunk):
        swapped = rng.integers(2, size=(min(per_chunk, draws - start), len(before))).astype(np.float64)
        for one in sums + swapped @ (after - before):
            extreme += abs(value(total - one) - value(one)) >= seen
    return (extreme + 1) / (draws + 1)


def _resampled(rows: Floats, draws: int, seed: int) -> Iterator[Floats]:
    """The sums (S,) of each resample of the rows with replacement."""
    rng = np.random.default_rng(seed)
    per_chunk = max(1, CHUNK // len(rows))
    even = np.full(len(rows), 1 / len(rows))
    for start in range(0, draws, per_chunk):
        yield from rng.multinomial(len(rows), even, size=min(per_chunk, draws - start)) @ rows


def _interval(value: float, drawn: list[float], level: float, n: int) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), n)
