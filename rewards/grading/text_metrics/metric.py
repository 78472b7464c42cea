"""`TextMetric`: a figure over pairs of texts that is a function of sums, so that any resample of pairs has it too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TextMetric:
    """One metric.

    name        as a recipe has it
    about       the library with its version, and its settings: two implementations differ by up to ten points
    statistics  (answers, gold texts), n of each → (n, S): what each pair adds to the sums
    value       (S,) sums over pairs → the figure, from 0 to 1
    """

    name: str
    about: str
    statistics: Callable[[Sequence[str], Sequence[str]], Floats]
    value: Callable[[Floats], float]


def mean_metric(name: str, about: str, score: Callable[[str, str], float]) -> TextMetric:
    """The mean over pairs of `score(answer, gold text)`, from 0 to 1."""

    def statistics(answers: Sequence[str], golds: Sequence[str]) -> Floats:
        pairs = zip(answers, golds, strict=True)
        return np.array([[score(answer, gold), 1.0] for answer, gold in pairs]).reshape(-1, 2)

    return TextMetric(name, about, statistics, mean_of)


def mean_of(sums: Floats) -> float:
    """A mean, of the sums [values, how many]; 0 of none."""
    return float(sums[0] / sums[1]) if sums[1] else 0.0
