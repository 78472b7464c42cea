"""Statistics of evaluations: pure functions over counts, scores and token counts.

Every estimate is an `Interval`. Single samples a question: Wilson. Several samples a question: they share the question,
so questions are what is resampled (`cluster_bootstrap`). Two runs on the same questions are compared pairwise.

Sources: Wilson, JASA 22 (1927); pass@k: Chen et al. 2021 (arXiv 2107.03374) §2.1; McNemar, Psychometrika 12 (1947),
exact form; sample size: Connor, Biometrics 43 (1987); Control, Scaling, Performance: Muennighoff et al. 2025
(arXiv 2501.19393) §3.2.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from report.page import percent_interval

Floats = npt.NDArray[np.float64]
Point = tuple[float, float]
"""(mean thinking tokens, accuracy)."""

CHUNK = 4_000_000  # numbers a bootstrap holds at once: 32 MB
DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval; `n` counts what is independent (questions, or single samples)."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float]:
        """`{value, low, high, n}`, for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    def __str__(self) -> str:
        """As a percentage: "36.5% [30.1, 43.4] (n=200)"."""
        return f"{percent_interval(self.as_dict())} (n={self.n})"


def _z(level: float) -> float:
    """Two-sided normal quantile of a confidence level."""
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share. Raises `ValueError` unless 0 ≤ successes ≤ n and n > 0."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is not a share")
    z = _z(level)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # rounding must not move the ends past what is certain
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return Interval(share, low, high, n)


def bootstrap_means(values: Floats, draws: int, seed: int) -> Floats:
    """Means of `draws` resamples of `values` (n,) with replacement; (draws,)."""
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // len(values))
    parts = [
        values[rng.integers(len(values), size=(min(rows, draws - start), len(values)))].mean(axis=1)
        for start in range(0, draws, rows)
    ]
    return np.concatenate(parts)


def cluster_bootstrap(
    clusters: Sequence[Sequence[float]] | Floats, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Mean over questions of each question's mean score, with a percentile interval from resampling questions.

    `clusters[q]` holds question q's scores, one a sample; sizes may differ, questions weigh the same. An interval from
    the bootstrap has no width where all questions agree: see `accuracy`. Raises `ValueError` on no or empty clusters.
    """
    if len(clusters) == 0 or any(len(scores) == 0 for scores in clusters):
        raise ValueError("no question, or one without samples")
    values = np.array([float(np.mean(scores)) for scores in clusters])
    means = bootstrap_means(values, draws, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), len(values))


def accuracy(clusters: Sequence[Sequence[float]], level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Interval:
    """avg@k of right (1) and wrong (0) samples a question: Wilson for single samples, else the cluster bootstrap.

    Wilson too where every question's samples agree: then a question is one right or wrong unit, and the bootstrap would
    claim certainty at 0 and 1. Raises `ValueError` on no or empty clusters.
    """
    if len(clusters) == 0 or any(len(scores) == 0 for scores in clusters):
        raise ValueError("no question, or one without samples")
    means = [sum(scores) / len(scores) for scores in clusters]
    if set(means) <= {0.0, 1.0}:
        return wilson(sum(mean == 1 for mean in means), len(means), level)
    return cluster_bootstrap(clusters, level, draws, seed)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that one of k samples is right, given c right ones among n. Raises `ValueError` if k > n."""
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} is undefined for {c} right of {n} samples")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def doubling(most: int) -> list[int]:
    """1, 2, 4, … up to `most`, and `most` itself; nothing for 0."""
    return sorted({*(2**i for i in range(most.bit_length())), most}) if most else []


def majority(answers: Sequence[str | None], ties: Literal["first", "none"] = "first") -> str | None:
    """The most frequent answer; `None` (unanswered) casts no vote.

    A tie goes to the answer seen first, or with `ties="none"` to nobody: `None`. Equivalent spellings must have been
    made equal before.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return None
    most = max(votes.values())
    winners = [answer for answer, count in votes.items() if count == most]  # a dict keeps the order of first sight
    return winners[0] if len(winners) == 1 or ties == "first" else None


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p-value of McNemar's test: b questions only A had right, c only B."""
    if b < 0 or c < 0:
        raise ValueError(f"counts can't be negative: {b}, {c}")
    tail = sum(math.comb(b + c, successes) for successes in range(min(b, c) + 1))
    return min(1.0, 2 * tail / (1 << (b + c)))


def paired_bootstrap(
    a: Sequence[float], b: Sequence[float], level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Mean of b - a over the same questions, questions resampled. Raises `ValueError` if lengths differ or are 0."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} questions can't be paired")
    differences = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    return cluster_bootstrap(differences[:, None], level, draws, seed)


def sign_flip(a: Sequence[float], b: Sequence[float], draws: int = 100_000, seed: int = 0) -> float:
    """Two-sided p-value that a and b are exchangeable within questions, by random sign flips of their differences.

    For scores of 0 and 1 it estimates `mcnemar_exact`; for means of k samples it has no exact counterpart.
    """
    differences = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    differences = differences[differences != 0]
    if len(differences) == 0:
        return 1.0
    rng = np.random.default_rng(seed)
    seen = abs(differences.sum()) - 1e-9  # sums that are equal but for rounding count as equal
    rows = max(1, CHUNK // len(differences))
    extreme = 0
    for start in range(0, draws, rows):
        signs = rng.integers(2, size=(min(rows, draws - start), len(differences)), dtype=np.int8)
        # Σ ±d = 2 Σ over the positive signs - Σ d
        extreme += int((abs(2 * (signs @ differences) - differences.sum()) >= seen).sum())
    return (extreme + 1) / (draws + 1)


def questions_needed(a: Sequence[float], b: Sequence[float], level: float = 0.95, power: float = 0.8) -> int | None:
    """How many questions it takes to see a difference as large as this one, at this level and power.

    Connor's formula for paired shares, and its normal form for means of k samples; None where there is no difference.
    """
    differences = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    mean, square = float(differences.mean()), float((differences**2).mean())
    if abs(mean) < 1e-12:  # what rounding leaves of differences that cancel
        return None
    z_level, z_power = _z(level), NormalDist().inv_cdf(power)
    needed = ((z_level * math.sqrt(square) + z_power * math.sqrt(max(0.0, square - mean**2))) / mean) ** 2
    return max(2, math.ceil(needed - 1e-9))


def token_summary(tokens: Sequence[int]) -> dict[str, float]:
    """`{mean, p50, p95, max}` of token counts. Raises `ValueError` on none."""
    if len(tokens) == 0:
        raise ValueError("no token counts")
    values = np.asarray(tokens, dtype=np.float64)
    p50, p95 = np.quantile(values, [0.5, 0.95])
    return {"mean": float(values.mean()), "p50": float(p50), "p95": float(p95), "max": int(values.max())}


def control(
    tokens: Sequence[float], low: float | Sequence[float] | None = None, high: float | Sequence[float] | None = None
) -> float:
    """s1's Control: the share of evaluations whose thinking tokens lie in [low, high], both ends included.

    A bound is one number, one a token count, or None: unbounded. Raises `ValueError` on no token counts.
    """
    if len(tokens) == 0:
        raise ValueError("no token counts")
    values = np.asarray(tokens, dtype=np.float64)
    least = np.asarray(-math.inf if low is None else low, dtype=np.float64)
    most = np.asarray(math.inf if high is None else high, dtype=np.float64)
    return float(((values >= least) & (values <= most)).mean())


def scaling(points: Sequence[Point]) -> float | None:
    """s1's Scaling: the mean slope over all pairs of points, in accuracy per thinking token.

    Pairs with the same tokens have no slope and are left out; None where no pair is left.
    """
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(sorted(points), 2) if x2 > x1]
    return sum(slopes) / len(slopes) if slopes else None


def performance(points: Sequence[Point]) -> float:
    """s1's Performance: the best accuracy of the sweep. Raises `ValueError` on no points."""
    return max(accuracy for _, accuracy in points)
