"""A request under a budget, as `budget_forcing.vllm_processor` keeps it: its state, its sampling, its output."""

import logging
from dataclasses import dataclass, field, replace

from vllm import SamplingParams

from budget_forcing.budget_state import BudgetState
from budget_forcing.tokens import TokenBudget
from budget_forcing.vllm_request import BEGUN, LOGPROBS, SEED, state_of
from configs.schema.sections import SamplingConfig

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Tracked:
    """A request under a budget, of whose completion the prompt holds the first `begun` tokens.

    `draws`: every token is drawn here. `corrections`: position → what its processed log-probability lacks.
    """

    owner: object
    state: BudgetState
    sampling: SamplingConfig
    seed: int
    draws: bool
    logprobs: bool
    begun: int
    output: list[int] = field(default_factory=list)
    corrections: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, owner: object, budget: TokenBudget, params: SamplingParams, prompt: int, context: int, seed: int
    ) -> "Tracked":
        """A request with these parameters and so many prompt tokens, under a budget that the context bounds."""
        args = params.extra_args
        begun = min(args.get(BEGUN, 0), prompt)
        left = context - (prompt - begun) - len(budget.end) - len(budget.final) - budget.max_answer
        if left < budget.limit:
            budget = replace(budget, limit=max(left, 0), limit_reason="context")
        sampling = SamplingConfig(
            temperature=params.temperature, top_p=params.top_p, top_k=max(params.top_k, 0), min_p=params.min_p
        )
        draws = SEED in args and params.temperature > 0
        return cls(owner, state_of(budget, args, begun), sampling, seed, draws, bool(args.get(LOGPROBS)), begun)

    @property
    def length(self) -> int:
        """Tokens of the completion so far."""
        return self.begun + len(self.output)


def fitting(budget: TokenBudget, params: SamplingParams, vocabulary: int) -> TokenBudget:
    """`budget` for a model of so many ids, with the ends of a turn of which only the worker is told.

    Those are what the model's generation config adds. If the model lacks one of the budget's ids, which only the worker
    can see, it is a budget that ends the request.
    """
    stops = sorted(i for i in params.all_stop_token_ids if 0 <= i < vocabulary)
    unknown = sorted(
        i for i in {*budget.ends, *budget.end, *budget.eos, *budget.wait, *budget.final} if i >= vocabulary
    )
    if unknown:
        logger.error("budget: the ids %s are not in the vocabulary of %d; the request ends empty", unknown, vocabulary)
        stop = stops[0] if stops else 0
        budget = TokenBudget(ends=(stop,), end=(stop,), eos=(stop,), limit=0)
    forced = {*budget.end, *budget.final, *budget.wait}
    ends = dict.fromkeys((*budget.ends, *(i for i in stops if i not in forced)))
    return replace(budget, ends=tuple(ends))
