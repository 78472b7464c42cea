"""Scripted policies over a handful of token ids, and decoding with them under a budget."""

from collections.abc import Callable, Sequence

from budget_forcing.budget_state import BudgetState, Outcome
from budget_forcing.rounds import Ask, in_rounds
from budget_forcing.sampling import mix
from budget_forcing.tokens import TokenBudget

Policy = Callable[[Sequence[int], frozenset[int]], int]
"""(tokens so far, ids that may not come) → the next id."""


def scripted(seed: int, vocabulary: int) -> Policy:
    """A policy that looks random and depends on everything before."""

    def choose(tokens: Sequence[int], refused: frozenset[int]) -> int:
        value = mix(seed + 1000 * len(refused))
        for token in tokens:
            value = mix(value + token + 1)
        left = [i for i in range(vocabulary) if i not in refused]
        return left[value % len(left)]

    return choose


def by_state(
    budget: TokenBudget, policy: Policy, begun: Outcome | None = None, most: int = 10**6
) -> tuple[Outcome, BudgetState]:
    """Decode one sequence as an engine does, of which `begun` is known; at most `most` tokens."""
    begun = begun or Outcome()
    state, tokens = BudgetState.after(budget, begun.drawn_ends, len(begun.tokens)), [*begun.tokens]
    while len(tokens) < most:
        token = policy(tokens, frozenset())
        if state.thinking and token in budget.ends:
            promised = state.on_end
            assert state.end(token) == promised
        if state.refused:
            token = policy(tokens, frozenset(budget.ends))
        elif state.due is not None:
            token = state.due
        last = state.answering and token in budget.eos
        tokens.append(token)
        state.advance()
        if last:
            break
    return state.outcome(tokens, [-1.0] * len(tokens)), state


def by_rounds(budget: TokenBudget, policy: Policy) -> Outcome:
    """Decode one sequence by stopping and prompting again."""

    def complete(asks: Sequence[Ask]) -> list[tuple[list[int], list[float]]]:
        return [_complete(ask, policy) for ask in asks]

    return in_rounds([budget], complete, NoTokenizer())[0]


def _complete(ask: Ask, policy: Policy) -> tuple[list[int], list[float]]:
    tokens: list[int] = []
    while len(tokens) < ask.max_tokens and not (tokens and tokens[-1] in ask.ends):
        refused = frozenset(ask.ends) if ask.refuse and not tokens else frozenset[int]()
        tokens.append(policy([*ask.tokens, *tokens], refused))
    return tokens, [0.0] * len(tokens)


class NoTokenizer:
    """For budgets in ids: nothing has to be encoded or decoded."""

    eos_token_id: int | None = 0

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        raise AssertionError(text)

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        raise AssertionError(token_ids)
