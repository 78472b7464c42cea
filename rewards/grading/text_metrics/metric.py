"""`TextMetric`: a figure over texts and their gold texts, a function of sums: any resample has it too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
References = Sequence[str]
"""The gold texts of one answer, any of which is right."""


@dataclass(frozen=True, slots=True)
class TextMetric:
    """One metric.

    name        as a recipe has it
    about       the library with its version, and its settings: two implementations differ by up to ten points
    statistics  (answers, the gold texts of each, one or more), n of each → (n, S): what each adds to the sums
    value       (S,) sums over pairs → the figure, from 0 to 1
    """

    name: str
    about: str
    statistics: Callable[[Sequence[str], Sequence[References]], Floats]
    value: Callable[[Floats], float]


def mean_metric(name: str, about: str, score: Callable[[str, References], float]) -> TextMetric:
    """The mean over answers of `score(answer, its gold texts)`, from 0 to 1."""

    def statistics(answers: Sequence[str], references: Sequence[References]) -> Floats:
        pairs = zip(answers, references, strict=True)
        return np.array([[score(answer, golds), 1.0] for answer, golds in pairs]).reshape(-1, 2)

    return TextMetric(name, about, statistics, mean_of)


def mean_of(sums: Floats) -> float:
    """A mean, of the sums [values, how many]; 0 of none."""
    return float(sums[0] / sums[1]) if sums[1] else 0.0
