"""What a calibration chooses from: the budgets of a finished evaluation, each with its score and cost a question.

A candidate need not be a point of a sweep: whatever has a `budget:` section, and for each question of the run a score
and thinking tokens, is one. Chains and the longest candidate come from the sections alone, never from what was
measured, so that the tests over them hold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import numpy.typing as npt

from configs.sample import Sample
from configs.schema.sections import BudgetConfig
from evaluation.results import questions
from evaluation.risk_control import Floats


@dataclass(frozen=True, slots=True)
class Candidate:
    """One budget.

    name         in tables
    budget       its section
    least, most  (questions,) mean score of a question's samples if every ungraded one were wrong, and if it were right
    tokens       (questions,) mean thinking tokens, what is spent to decide when to stop included
    samples      of a question, at most; it chooses the test
    ungraded     samples without a verdict
    """

    name: str
    budget: BudgetConfig
    least: Floats
    most: Floats
    tokens: Floats
    samples: int = 1
    ungraded: int = 0

    def on(self, at: npt.NDArray[np.int64]) -> "Candidate":
        """The candidate on the questions at these positions."""
        return replace(self, least=self.least[at], most=self.most[at], tokens=self.tokens[at])


def longest_of(candidates: Sequence[Candidate]) -> Candidate:
    """The one that may think longest."""
    return max(candidates, key=lambda one: length_order(one.budget))


def chains_of(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """All but the longest: those that differ in their limit, or in how strict their rule is, make a chain.

    Longest first, strictest first.
    """
    longest, chains = longest_of(candidates), dict[str, list[Candidate]]()
    for one in sorted(candidates, key=lambda one: length_order(one.budget), reverse=True):
        if one is not longest:
            chains.setdefault(_kind(one.budget), []).append(one)
    return list(chains.values())


def _kind(budget: BudgetConfig) -> str:
    """What candidates of a chain have in common."""
    rule = budget.stop_when
    if rule is None:
        return repr(budget.model_copy(update={"max_thinking": None}))
    loosened = {"agree": rule.agree and 2, "confidence": rule.confidence and 1.0}
    return repr(budget.model_copy(update={"stop_when": rule.model_copy(update=loosened)}))


def length_order(budget: BudgetConfig) -> tuple[float, float, int, int, int]:
    """What sorts budgets by how long they may, and must, think, and may answer; a rule stops it sooner."""
    limit = math.inf if budget.max_thinking is None else budget.max_thinking
    rule = budget.stop_when
    strictness = math.inf if rule is None else float(rule.agree or rule.confidence or 0)
    return limit, strictness, budget.num_waits, budget.min_thinking, budget.max_answer


def losses(longest: Candidate, cheaper: Candidate) -> Floats:
    """(questions,) what the cheaper one loses, from -1 to 1; ungraded samples count against it."""
    return longest.most - cheaper.least


def candidate_of(name: str, budget: BudgetConfig, samples: Sequence[Sample], ids: Sequence[str]) -> Candidate:
    """The candidate whose samples these are; `ids`: the questions to take, in this order."""
    by_id = questions(samples)
    its = [by_id[id] for id in ids]

    def means(ungraded: bool) -> Floats:
        rights = [[ungraded if s.is_right is None else s.is_right for s in group] for group in its]
        return np.array([fmean(group) for group in rights], dtype=np.float64)

    tokens = [fmean((sample.thinking_tokens or 0) + sample.probe_tokens for sample in group) for group in its]
    missing = sum(sample.is_right is None for group in its for sample in group)
    return Candidate(
        name=name,
        budget=budget,
        least=means(False),
        most=means(True),
        tokens=np.array(tokens, dtype=np.float64),
        samples=max(map(len, its)),
        ungraded=missing,
    )
