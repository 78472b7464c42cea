"""What sacrebleu keeps to itself: the statistics of each pair, whose sums its corpus scores are made of."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from sacrebleu.metrics.base import Metric

from rewards.grading.text_metrics.metric import Floats, References


def pair_statistics(metric: Metric, answers: Sequence[str], references: Sequence[References]) -> Floats:
    """(answers, S): the counts of each, against its gold texts."""
    streams = [*zip_longest(*references)] or [()]  # the first gold text of each, the second, …; None for no more
    return np.array(metric._extract_corpus_statistics(answers, streams), dtype=np.float64)


def corpus_score(metric: Metric, sums: Floats) -> float:
    """The metric's score, from 0 to 100, of counts (S,) that were added up."""
    return float(metric._compute_score_from_stats(sums.tolist()).score)
