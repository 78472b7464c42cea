"""Width or depth: many samples that think little, or few that think long, at equal thinking tokens.

Of one run of n samples a question under several budgets: the vote of k of the n samples under each budget, by majority
and weighted by confidence, with the thinking tokens that it takes; and what is best within the tokens of one sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from configs.sample import Sample
from evaluation import metrics
from evaluation.votes import Ballot, ballot_of, majority_accuracy, weighted_accuracy

MAJORITY, WEIGHTED = "majority", "weighted"
VOTES = {MAJORITY: majority_accuracy, WEIGHTED: weighted_accuracy}

Questions = Mapping[str, Sequence[Sample]]
"""A budget's samples by their question."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The vote of k samples under one budget: its accuracy by question, and the mean thinking tokens of all k."""

    label: str
    k: int
    vote: str
    accuracies: Mapping[str, float]
    tokens: float

    def accuracy(self, seed: int) -> metrics.Interval:
        """Its accuracy over questions."""
        return metrics.accuracy([[value] for value in self.accuracies.values()], seed=seed)

    @property
    def mean(self) -> float:
        """`accuracy` without its interval."""
        return fmean(self.accuracies.values())

    def as_dict(self) -> dict[str, Any]:
        """Which cell it is, for JSON."""
        return {"label": self.label, "k": self.k, "vote": self.vote, "tokens": self.tokens}


def width_depth(budgets: Mapping[str, Questions], seed: int = 0) -> dict[str, Any] | None:
    """The grid over samples and budgets, and the best split of the tokens of each budget's single sample.

    None unless several budgets have thought, and a question has several samples under one of them.
    """
    cells = grid(budgets)
    if len({cell.label for cell in cells}) < 2 or all(cell.k == 1 for cell in cells):
        return None
    return {
        "cells": [cell.as_dict() | {"accuracy": cell.accuracy(seed).as_dict()} for cell in cells],
        "splits": splits(cells, seed),
    }


def grid(budgets: Mapping[str, Questions]) -> list[Cell]:
    """A cell for each budget, each k = 1, 2, 4, … and the number of samples, and each vote that can be taken."""
    cells = []
    for label, questions in budgets.items():
        thought = {id: its for id, its in questions.items() if all(one.thinking_tokens is not None for one in its)}
        ballots = {id: ballot_of(its) for id, its in thought.items()}
        tokens = {id: fmean(one.thinking_tokens or 0 for one in its) for id, its in thought.items()}
        if not any(tokens.values()):
            continue
        for k in metrics.doubling(max(map(len, thought.values()))):
            cells += _cells(label, k, ballots, tokens)
    return cells


def _cells(label: str, k: int, ballots: Mapping[str, Ballot], tokens: Mapping[str, float]) -> list[Cell]:
    """The votes of k samples, over the questions that have so many; the weighted one where all have weights."""
    enough = {id: ballot for id, ballot in ballots.items() if len(ballot.answers) >= k}
    weighs = k > 1 and all(ballot.weights is not None for ballot in enough.values())
    cells = []
    for vote in VOTES if weighs else (MAJORITY,):
        found = {id: VOTES[vote](ballot, k) for id, ballot in enough.items()}
        known = {id: accuracy for id, accuracy in found.items() if accuracy is not None}
        if known:
            cells.append(Cell(label, k, vote, known, k * fmean(tokens[id] for id in known)))
    return cells


def best_split(cells: Sequence[Cell], tokens: float) -> Cell:
    """The most accurate cell of at most so many tokens, of equal ones that with the fewest tokens.

    Raises `ValueError` where all cells take more.
    """
    affordable = [cell for cell in cells if cell.tokens <= tokens * (1 + 1e-9)]
    return max(affordable, key=lambda cell: (round(cell.mean, 12), -cell.tokens))


def splits(cells: Sequence[Cell], seed: int = 0) -> list[dict[str, Any]]:
    """For each budget's single sample the best split of its tokens, fewest first, and the difference between the two.

    The difference is over the questions that both have, which are resampled; None where nothing beats the sample.
    """
    found = []
    for single in sorted((cell for cell in cells if cell.k == 1), key=lambda cell: cell.tokens):
        best = best_split(cells, single.tokens)
        shared = [id for id in single.accuracies if id in best.accuracies]
        one, other = ([cell.accuracies[id] for id in shared] for cell in (single, best))
        beaten = best is not single and bool(shared)
        found.append(
            {
                "tokens": single.tokens,
                "single": single.as_dict(),
                "best": best.as_dict() | {"accuracy": best.accuracy(seed).as_dict()},
                "difference": metrics.paired_bootstrap(one, other, seed=seed).as_dict() if beaten else None,
            }
        )
    return found
