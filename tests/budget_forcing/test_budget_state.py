"""The state machine: against stop-and-re-prompt over every small budget, and what it promises of each sequence."""

import itertools
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budget_forcing.budget_state import BudgetState, Outcome
from budget_forcing.tokens import ThinkTokens, TokenBudget
from tests.budget_forcing.policies import by_rounds, by_state, scripted

EOS, OPEN, WAIT, MORE, FINAL, NEWLINE = range(6)
S1_LIKE = ThinkTokens(ends=(OPEN, EOS), end=(OPEN, NEWLINE), eos=(EOS,))

budgets = st.builds(
    TokenBudget,
    ends=st.sampled_from([(EOS,), (OPEN, EOS), (OPEN, EOS, FINAL)]),
    end=st.sampled_from([(OPEN,), (OPEN, NEWLINE), (NEWLINE, OPEN, NEWLINE)]),
    eos=st.just((EOS,)),
    limit=st.integers(0, 9),
    limit_reason=st.sampled_from(["limit", "context"]),
    min_thinking=st.integers(0, 9),
    num_waits=st.integers(0, 4),
    wait=st.sampled_from([(), (WAIT,), (WAIT, MORE), (WAIT, MORE, MORE)]),
    final=st.sampled_from([(), (FINAL,), (FINAL, NEWLINE)]),
    max_answer=st.integers(1, 4),
).filter(lambda budget: budget.min_thinking <= budget.limit)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budgets, st.integers(0, 10**6), st.integers(6, 12))
def test_state_matches_rounds(budget: TokenBudget, seed: int, vocabulary: int) -> None:
    policy = scripted(seed, vocabulary)
    state, _ = by_state(budget, policy)
    rounds = by_rounds(budget, policy)
    if state.forced[-1] and state.tokens[-1] == EOS:  # rounds simply stop at the answer's limit
        state.tokens.pop()
        state.forced.pop()
    assert (state.tokens, state.forced) == (rounds.tokens, rounds.forced)
    assert (state.thought, state.answer_at, state.reason) == (rounds.thought, rounds.answer_at, rounds.reason)


def test_small_budgets_match_rounds() -> None:
    for limit, least, waits, wait, seed in itertools.product(
        range(5), range(5), range(3), [(), (WAIT,), (WAIT, MORE)], range(6)
    ):
        if least <= limit:
            budget = TokenBudget((OPEN, EOS), (OPEN, NEWLINE), (EOS,), limit, (), "limit", least, waits, wait, (), 2)
            policy = scripted(seed, 4)
            state, _ = by_state(budget, policy)
            rounds = by_rounds(budget, policy)
            cut = len(state.tokens) - bool(state.forced[-1])
            assert state.tokens[:cut] == rounds.tokens, budget
            assert (state.thought, state.reason) == (rounds.thought, rounds.reason), budget


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budgets, st.integers(0, 10**6))
def test_budget_is_kept_and_answer_follows(budget: TokenBudget, seed: int) -> None:
    outcome, state = by_state(budget, scripted(seed, 7))
    assert budget.min_thinking <= outcome.thought <= budget.limit
    assert outcome.answer_at is not None
    assert len(outcome.tokens) - outcome.answer_at - len(budget.final) * (outcome.reason == budget.limit_reason) >= 1
    assert len(outcome.tokens) <= budget.max_tokens
    assert len(outcome.forced) == len(outcome.tokens) == state.position
    assert state.waits_used <= budget.num_waits
    if outcome.reason == budget.limit_reason:
        assert outcome.thought == budget.limit
    else:
        assert outcome.reason == (f"waited:{state.waits}" if state.waits else "natural")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budgets, st.integers(0, 10**6), st.data())
def test_rewinding_restores_any_position(budget: TokenBudget, seed: int, data: st.DataObject) -> None:
    policy = scripted(seed, 7)
    outcome, state = by_state(budget, policy)
    position = data.draw(st.integers(0, state.position))
    back = state.rewound(position)
    assert back.forced == outcome.forced[:position]
    tokens = outcome.tokens[:position]
    while back.position < state.position:  # the same choices lead to the same end
        token = policy(tokens, frozenset())
        if back.thinking and token in budget.ends:
            back.end(token)
        back.advance()
        tokens.append(outcome.tokens[len(tokens)])
    assert (back.forced, back.thought, back.reason) == (state.forced, state.thought, state.reason)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budgets, st.integers(0, 10**6))
def test_steady_state_does_not_change(budget: TokenBudget, seed: int) -> None:
    check_steady(budget, by_state(budget, scripted(seed, 9))[0].tokens)


def test_state_is_steady_between_events() -> None:
    budget = TokenBudget((OPEN, EOS), (OPEN,), (EOS,), 9, min_thinking=4, num_waits=1, wait=(WAIT, MORE), max_answer=3)
    tokens = by_state(budget, lambda tokens, refused: MORE)[0].tokens
    assert len(tokens) == 9 + 1 + 3 + 1
    assert check_steady(budget, tokens) == 14 - 6  # news: the start, 4 and 8 tokens, the end, the answer and its end


def check_steady(budget: TokenBudget, tokens: Sequence[int]) -> int:
    """Decode `tokens`; at how many of them the state was as it had said that it would stay."""
    state = BudgetState(budget)
    checked = 0
    promised: tuple[int, tuple[object, ...]] = (0, ())
    for token in tokens:
        facts = (state.due, state.phase, state.on_end if state.thinking else None)
        if state.position < promised[0]:
            assert facts == promised[1]
            checked += 1
        else:
            promised = (state.position + state.steady, facts)
        if state.thinking and token in budget.ends:  # an ended thinking is news
            state.end(token)
            promised = (0, ())
        elif state.thinking and state.on_end == token and token in budget.wait:
            break  # can't tell a forced "Wait" from a chosen one by the tokens alone
        state.advance()
    return checked


def test_cut_outcome_forgets_later_tokens() -> None:
    whole = Outcome([7, 7, 1, 5, 9], [-1.0] * 5, [False, False, True, True, False], 2, 4, "limit")
    cut = whole.cut(2)
    assert (cut.tokens, cut.forced, cut.thought) == ([7, 7], [False, False], 2)
    assert (cut.answer_at, cut.reason) == (None, None)
    assert (whole.cut(3).answer_at, whole.cut(3).reason) == (None, "limit")
    assert whole.cut(4).answer_at == 4
    assert whole.cut(5) == whole


def test_limits_of_zero_and_one_are_exact() -> None:
    for limit in (0, 1):
        budget = TokenBudget((OPEN, EOS), (OPEN, NEWLINE), (EOS,), limit, wait=(WAIT,), final=(FINAL,), max_answer=1)
        outcome, _ = by_state(budget, lambda tokens, refused: MORE)
        assert outcome.tokens == [MORE] * limit + [OPEN, NEWLINE, FINAL, MORE, EOS]
        assert outcome.forced == [False] * limit + [True, True, True, False, True]
        assert (outcome.thought, outcome.reason, outcome.answer_at) == (limit, "limit", limit + 2)


def test_wait_that_does_not_fit_is_not_begun() -> None:
    budget = TokenBudget((OPEN, EOS), (OPEN,), (EOS,), 4, num_waits=9, wait=(WAIT, MORE), max_answer=1)
    outcome, _ = by_state(budget, lambda tokens, refused: OPEN)
    assert outcome.tokens == [WAIT, MORE, WAIT, MORE, OPEN, OPEN, EOS]
    assert (outcome.thought, outcome.reason) == (4, "limit")
    outcome, _ = by_state(
        TokenBudget((OPEN, EOS), (OPEN,), (EOS,), 3, num_waits=9, wait=(WAIT, MORE)), lambda t, r: OPEN
    )
    assert (outcome.thought, outcome.reason, outcome.forced[:3]) == (2, "waited:1", [True, True, False])


def test_end_below_minimum_uses_no_wait() -> None:
    budget = TokenBudget((EOS,), (OPEN,), (EOS,), 9, min_thinking=3, num_waits=1, wait=(WAIT,), max_answer=1)
    outcome, state = by_state(budget, lambda tokens, refused: EOS)
    assert outcome.tokens[:5] == [WAIT, WAIT, WAIT, WAIT, OPEN]
    assert (state.waits, state.waits_used, outcome.reason) == (4, 1, "waited:4")


def test_end_of_turn_ends_the_thinking() -> None:
    budget = TokenBudget((OPEN, EOS), (OPEN, NEWLINE), (EOS,), 9, max_answer=5)
    outcome, _ = by_state(budget, lambda tokens, refused: EOS if len(tokens) in (2, 5) else MORE)
    assert outcome.tokens == [MORE, MORE, OPEN, NEWLINE, MORE, EOS]
    assert outcome.forced == [False, False, True, True, False, False]
    natural, _ = by_state(budget, lambda tokens, refused: [MORE, MORE, OPEN, EOS, EOS][len(tokens)])
    assert natural.forced[2:4] == [False, True]  # the policy wrote the token that opens the end itself


def test_refused_end_draws_another_token() -> None:
    budget = TokenBudget((OPEN, EOS), (OPEN,), (EOS,), 9, num_waits=1, wait=(), max_answer=1)
    outcome, _ = by_state(budget, lambda tokens, refused: MORE if refused else OPEN)
    assert outcome.tokens[:2] == [MORE, OPEN]
    assert (outcome.forced[0], outcome.reason) == (False, "waited:1")
