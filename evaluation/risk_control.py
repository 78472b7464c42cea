"""Whether losses prove that their mean is at most so much: tests that hold for any number of questions.

A loss is what a cheaper budget loses on a question, in [-1, 1]. The null hypothesis is that the mean loss is `most` or
more; a small p-value is the proof against it (learn then test, arXiv 2110.01052). Two tests, both valid in finite
samples:

- one sample a question, so that losses are -1, 0 or 1: the exact unconditional test of two paired shares. Its nuisance
  parameter is the share of questions that change, over which the p-value is maximised within a confidence set
  (Berger and Boos, JASA 89 (1994)).
- means of several samples: betting, Waudby-Smith and Ramdas (arXiv 2010.09686), with bets tuned for the number of
  questions. It adapts to the variance, as Hoeffding's and Bentkus' bounds do not.

Several budgets: fixed sequences, a level for all.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv, gammaln, xlog1py, xlogy

Floats = npt.NDArray[np.float64]

Test = Callable[[Floats, float, float], float]
"""(losses (n,), `most` in (-1, 1), the level that bets are tuned for) → a p-value, valid at any level."""

NUISANCE_LEVEL = 1e-4
"""Added to every exact p-value: half pays for the confidence set, half for what lies between the points of its grid."""
GRID = 256
MOST_QUESTIONS = 1_000_000
"""More than these are not called a number of questions that could prove it."""


def choose_test(samples: int) -> Test:
    """The test for means of so many samples a question; what the losses happen to be must not choose it."""
    return exact_test if samples == 1 else betting_test


def exact_test(losses: Floats, most: float, level: float = 0.05) -> float:
    """`exact_p_value` of losses (n,) of -1, 0 and 1; the same for each `level`. Raises `ValueError` on others."""
    if len(losses) == 0 or not np.isin(losses, (-1.0, 0.0, 1.0)).all() or not -1 < most < 1:
        raise ValueError(f"{len(losses)} losses can't be tested against {most} as those of single samples")
    return exact_p_value(int((losses == 1).sum()), int((losses != 0).sum()), len(losses), most)


def exact_p_value(worse: int, changed: int, n: int, most: float) -> float:
    """The exact p-value where `worse` of `changed` questions are lost, the others of them won, and n - changed stay.

    On the boundary of the null hypothesis a question that changes, with chance d ≥ `most`, is lost with chance
    (1 + most / d) / 2. Outcomes are ordered by (lost - won - n most) / sd, where sd depends on `changed` alone: then
    the more extreme ones are, for each number of changes, all with at most so many lost, and the boundary is the worst
    case of the null hypothesis for each d.
    """
    # 1. the shares d that the number of changes leaves possible
    tail = NUISANCE_LEVEL / 4
    low = float(betaincinv(changed, n - changed + 1, tail)) if changed else 0.0
    high = float(betaincinv(changed + 1, n - changed, 1 - tail)) if changed < n else 1.0
    ends = (max(low, most, 1e-12), max(high, most, 1e-12))
    # evenly in the root: the sd of a share grows with it
    shares = np.linspace(math.sqrt(ends[0]), math.sqrt(ends[1]), GRID)[:, None] ** 2
    lost_share = np.clip((1 + most / shares) / 2, 0.0, 1.0)

    # 2. the outcomes that are at least as extreme: at most `lost` of `changes`; what is over 8 sd away weighs nothing
    reach = 8 * math.sqrt(n * ends[1]) + 40
    changes = np.arange(max(0, math.floor(n * ends[0] - reach)), min(n, math.ceil(n * ends[1] + reach)) + 1)
    seen = 2 * worse - changed - n * most
    spread = _spread(changes / n, most) / (_spread(changed / n, most) or 1.0)
    lost = np.floor((seen * spread + changes + n * most) / 2 + 1e-9)
    lost = np.minimum(np.where(changes == changed, np.maximum(lost, worse), lost), changes)
    changes, lost = changes[lost >= 0], lost[lost >= 0]

    # 3. their probability under each share; numbers of changes that all but never come up are left out
    ways = gammaln(n + 1) - gammaln(changes + 1) - gammaln(n - changes + 1)
    chances = np.exp(ways + xlogy(changes, shares) + xlog1py(n - changes, -shares))
    at_share, at_changes = np.nonzero(chances > 1e-13)
    tails = bdtr(lost[at_changes], changes[at_changes], lost_share[at_share, 0])
    totals = np.bincount(at_share, chances[at_share, at_changes] * tails, minlength=1)
    return min(1.0, float(totals.max()) + NUISANCE_LEVEL)


def _spread(share: Any, most: float) -> Any:
    """The sd of a loss where this share of questions changes, about: it grows with the share, and has a floor."""
    return np.sqrt(np.hypot(share, most) - most**2)


def betting_test(losses: Floats, most: float, level: float = 0.05) -> float:
    """1 over the most that a gambler reaches who bets on losses (n,) below `most`, question after question.

    Bets follow the variance seen so far, as large as pays best by the last question; the wealth is a supermartingale
    under the null hypothesis. Questions come in an order drawn once for each number of them, so that a file sorted by
    difficulty is as good as another. Raises `ValueError` on no losses, or others than in [-1, 1].
    """
    if len(losses) == 0 or abs(losses).max() > 1 or not -1 < most < 1:
        raise ValueError(f"{len(losses)} losses can't be tested against {most}")
    n = len(losses)
    shuffled = losses[np.random.default_rng(n).permutation(n)]
    counts = np.arange(2, n + 2)  # with one imagined question of loss 0 and variance 1/4
    means = np.cumsum(shuffled) / counts
    variances = (0.25 + np.cumsum((shuffled - means) ** 2)) / counts
    known = np.concatenate([[0.25], variances[:-1]])
    bets = np.minimum(np.sqrt(2 * math.log(1 / level) / (n * known)), 0.75 / (1 - most))
    wealth = np.cumsum(np.log1p(bets * (most - shuffled)))
    return math.exp(-max(0.0, float(wealth.max())))


def upper_bound(losses: Floats, confidence: float, test: Test) -> float:
    """What the mean loss is at most, with this confidence: the least `most` that the test proves, to 2e-4."""
    level = 1 - confidence
    low = float(losses.mean())
    high = low + (5 * float(losses.std()) + 10 / math.sqrt(len(losses))) / math.sqrt(len(losses))
    if high >= 1 or test(losses, high, level) > level:
        high = 1.0
    while high - low > 2e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if test(losses, middle, level) <= level else (middle, high)
    return high


def interval(losses: Floats, confidence: float, test: Test) -> tuple[float, float]:
    """(low, high) of the mean loss, each end by the test."""
    each = (1 + confidence) / 2
    return -upper_bound(-losses, each, test), upper_bound(losses, each, test)


def questions_needed(losses: Floats, most: float, level: float, test: Test) -> int | None:
    """About how many questions with losses like these would prove it; None where none would, or over a million."""
    if losses.mean() >= most:
        return None
    ordered = np.sort(losses)

    def proves(count: int) -> bool:
        alike = ordered[((np.arange(count) + 0.5) * len(ordered) / count).astype(int)]
        return test(alike, most, level) <= level

    low, high = 1, 2
    while not proves(high):
        low, high = high, 2 * high
        if high > MOST_QUESTIONS:
            return None
    while high - low > max(1, high // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if proves(middle) else (middle, high)
    return high


def fixed_sequences(chains: Sequence[Sequence[float]], level: float) -> list[int]:
    """How many hypotheses from the start of each chain of p-values are rejected, with at most `level` of a false one.

    A chain is tested in its order up to the first that is not rejected; chains share the level, and one that is
    rejected to its end leaves its part to the others (Bretz et al., Statistics in Medicine 28 (2009)). Chains of one
    p-value each: Holm's procedure.
    """
    rejected = [0] * len(chains)
    open_chains = {at for at, chain in enumerate(chains) if chain}
    while open_chains:
        share = level / len(open_chains)
        for at in open_chains:
            while rejected[at] < len(chains[at]) and chains[at][rejected[at]] <= share:
                rejected[at] += 1
        ended = {at for at in open_chains if rejected[at] == len(chains[at])}
        if not ended:
            break
        open_chains -= ended
    return rejected
