"""What a sequence under one budget has in common with the same sequence under another.

Draws depend on (seed, position) alone. So of two sequences with one prompt and one seed, each token is the same until
their budgets first want something different: the smaller limit's end, or a "Wait" that the other one lacks.
"""

from budget_forcing.budget_state import DONE, BudgetState, Outcome
from budget_forcing.tokens import TokenBudget


def replay(budget: TokenBudget, known: Outcome) -> tuple[Outcome, bool]:
    """The first tokens of a sequence under `budget` that has the prompt and the seed of `known`; whether that is all.

    `shared` of them are those of `known`; after these comes what the budget has due there.
    """
    # 1. what is in common
    state = _common(budget, known)
    shared = state.position
    tokens, logprobs = known.tokens[:shared], known.logprobs[:shared]
    is_whole = shared == len(known.tokens)

    # 2. what is due: an end that the policy drew here, and whatever else comes after it
    while state.due is not None and not is_whole:
        if known.logprobs:
            logprobs.append(known.logprobs[shared] if state.chosen else 0.0)
        tokens.append(state.due)
        state.advance()
    begun = state.outcome(tokens, logprobs)
    begun.shared = shared
    return begun, is_whole or state.phase == DONE


def _common(budget: TokenBudget, known: Outcome) -> BudgetState:
    """The state after the last token in common.

    What it has due there, an end of thinking that was drawn there included, comes from the budget. An end that would be
    refused with nothing to append is left to be drawn.
    """
    state = BudgetState(budget)
    while (at := state.position) < len(known.tokens):
        # 1. an end of thinking was drawn here: it became "Wait", the end, or another draw
        if state.thinking and at in known.drawn_ends:
            was_refused = at < known.thought and not known.forced[at]
            if (state.on_end is None) != was_refused:
                break
            state.end(known.drawn_ends[at])

        # 2. what is due is in common where it is the same token, whoever chose it
        if state.due is not None:
            if state.due != known.tokens[at]:
                break
            state.advance()
        # 3. the policy chooses: in common up to the next token that it did not choose, or the next end
        elif known.forced[at] or state.thinking != (at < known.thought):
            break
        else:
            state.advance(min(state.room, _next_event(known, at) - at))
    return state


def _next_event(known: Outcome, at: int) -> int:
    """The first position after `at` at which a token was forced or an end of thinking drawn; else the length."""
    drawn = min((position for position in known.drawn_ends if position > at), default=len(known.tokens))
    try:
        return known.forced.index(True, at, drawn)
    except ValueError:
        return drawn
