"""What an engine decodes: one sequence a job, everything in token ids and numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from budget_forcing.budget import StopRule
from budget_forcing.budget_state import BudgetState, Outcome
from budget_forcing.tokens import TokenBudget
from configs.schema.sections import SamplingConfig


@dataclass(frozen=True, slots=True)
class Early:
    """A rule that stops thinking, and the `final` ids that its probes append."""

    rule: StopRule
    final: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One sequence for an engine to decode: ids, a seed, and limits as numbers.

    `ends` stop it. `seeded`: the request named a seed. Rounds go on with a sequence whose first `start` tokens are in
    the prompt; `refuse`: none of `ends` may come first.

    `begun`: its first tokens, which are known already. `stop_when`: when its thinking is stopped early.
    """

    request: int
    sample: int
    prompt: tuple[int, ...]
    sampling: SamplingConfig
    seed: int
    max_tokens: int
    ends: tuple[int, ...]
    budget: TokenBudget | None = None
    stop: tuple[str, ...] = ()
    adapter: str | None = None
    logprobs: bool = False
    seeded: bool = True
    start: int = 0
    refuse: bool = False
    begun: Outcome | None = None
    stop_when: "Early | None" = None

    @property
    def known(self) -> tuple[int, ...]:
        """The ids ahead of the first one to decode."""
        return self.prompt if self.begun is None else (*self.prompt, *self.begun.tokens)

    @property
    def state(self) -> BudgetState | None:
        """Where its budget stands when it starts."""
        if self.budget is None or self.begun is None:
            return None if self.budget is None else BudgetState(self.budget)
        return BudgetState.after(self.budget, self.begun.drawn_ends, len(self.begun.tokens))


Decoded = Callable[[int, Outcome], None]
"""Called with a job's place and what became of it, as soon as that is known."""

Branch = Callable[[int, Outcome], Sequence[Job]]
"""Called with a job's number and what became of it, as soon as that is known.

It returns the jobs that branch off from it, to be decoded too; their numbers go on from the last one's.
"""
