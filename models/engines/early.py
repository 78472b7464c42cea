"""One sequence that is probed as it thinks, and whose thinking ends when its rule holds.

Each round thinks up to the next probe and answers from there; the next one goes on from the same thinking. So a
sequence whose rule never holds has the very tokens that it would have without one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from budget_forcing.agreement import answer_key, mean_logprob
from budget_forcing.budget_state import Outcome
from budget_forcing.replay import replay
from budget_forcing.tokens import TokenBudget
from models.engines.job import Job

PROBE = "probe"
"""Why the thinking of a round ended, unless it did so by itself."""


class StoppedEarly:
    """A family of one job, at `place`, for `models.engines.sharing`; `text_of`: the text of ids."""

    def __init__(self, place: int, job: Job, text_of: Callable[[Sequence[int]], str]) -> None:
        assert job.budget is not None
        assert job.stop_when is not None
        self.place, self.job, self.text_of = place, job, text_of
        self.budget, self.early = job.budget, job.stop_when
        self.answers: list[str | None] = []
        self.probed = 0
        self.reason: str | None = None
        self.next: Job | None = None
        self._start(Outcome(), self._probe(1))

    def ready(self) -> dict[int, Job]:
        """The next round, if it has not started."""
        job, self.next = self.next, None
        return {} if job is None else {self.place: job}

    def take(self, at: int, outcome: Outcome) -> dict[int, Outcome]:
        """Go on after a round; what became of the job where that was its last."""
        # 1. the last round: the budget's own end, or the answer after an early one
        budget = self.now
        if budget.limit_reason != PROBE:
            return self._whole(outcome)

        # 2. the thinking ended by itself: its answer goes on as the budget has it
        if outcome.reason != PROBE and replay(self.budget, outcome)[0].reason is not None:
            return self._start(outcome, self.budget)

        # 3. a probe (one too where it ended for want of room for "Wait" before the probe): stop there, or think on
        first = len(outcome.tokens) if outcome.answer_at is None else outcome.answer_at
        last = len(outcome.tokens) - (outcome.tokens[-1] in budget.eos)
        answer = slice(first, last)
        chosen = [its for its, forced in zip(outcome.tokens[answer], outcome.forced[answer], strict=True) if not forced]
        self.answers.append(answer_key(self.text_of(chosen)))
        logprob = mean_logprob(outcome.logprobs[answer], outcome.forced[answer]) if outcome.logprobs else None
        reason = self.early.rule.reason(self.answers, None if logprob is None else math.exp(logprob))
        if reason:
            self.reason = reason
            stopped = replace(self.budget, limit=budget.limit, limit_reason=reason, final=self.early.final)
            return self._start(outcome, replace(stopped, min_thinking=budget.min_thinking))
        self.probed += last - first
        return self._start(outcome, self._probe(len(self.answers) + 1))

    def _probe(self, number: int) -> TokenBudget:
        """The budget of a round: up to this probe, or the job's own where its limit comes first."""
        rule, limit = self.early.rule, number * self.early.rule.probe_every
        if limit >= self.budget.limit:
            return self.budget
        return replace(
            self.budget,
            limit=limit,
            limit_reason=PROBE,
            min_thinking=min(limit, self.budget.min_thinking),
            final=self.early.final,
            max_answer=rule.max_answer,
        )

    def _start(self, known: Outcome, budget: TokenBudget) -> dict[int, Outcome]:
        """Go on under `budget` from what it has in common with `known`; the outcome where that is all."""
        self.now = budget
        begun, is_whole = replay(budget, known) if known.tokens else (None, False)
        if begun is not None and (is_whole or len(begun.tokens) >= self.job.max_tokens):
            return self._whole(begun.cut(self.job.max_tokens))
        self.next = replace(self.job, budget=budget, begun=begun, stop_when=None)
        return {}

    def _whole(self, outcome: Outcome) -> dict[int, Outcome]:
        outcome.shared, outcome.probed = 0, self.probed
        outcome.reason = self.reason or outcome.reason
        return {self.place: outcome}
