"""What two budgets have in common is what both would have written by themselves."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budget_forcing.budget_state import Outcome
from budget_forcing.replay import replay
from budget_forcing.tokens import TokenBudget
from tests.budget_forcing.policies import by_state, scripted
from tests.budget_forcing.test_budget_state import EOS, FINAL, MORE, OPEN, WAIT, budgets


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budgets, budgets, st.integers(0, 10**6), st.integers(6, 12))
def test_going_on_from_what_is_common_is_decoding_it_all(
    one: TokenBudget, other: TokenBudget, seed: int, vocabulary: int
) -> None:
    policy = scripted(seed, vocabulary)
    other = replace(other, ends=one.ends)  # the model's, and the same for every budget
    known, _ = by_state(one, policy)
    own, _ = by_state(other, policy)
    begun, is_whole = replay(other, known)
    assert begun.tokens == own.tokens[: len(begun.tokens)]
    assert begun.tokens[: begun.shared] == known.tokens[: begun.shared]
    assert is_whole == (len(begun.tokens) == len(own.tokens))
    found = begun if is_whole else by_state(other, policy, begun)[0]
    assert replace(found, shared=0, logprobs=[]) == replace(own, logprobs=[])
    assert all(logprob == -1.0 for logprob, forced in zip(begun.logprobs, begun.forced, strict=True) if not forced)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budgets, st.integers(0, 9), st.integers(0, 4), st.integers(1, 4), st.integers(0, 10**6))
def test_smaller_budget_is_found_in_larger_one(
    budget: TokenBudget, limit: int, waits: int, answer: int, seed: int
) -> None:
    longest = replace(budget, min_thinking=0, limit=9, num_waits=4, wait=(WAIT,), max_answer=4)
    smaller = replace(longest, limit=limit, num_waits=waits, max_answer=answer)
    policy = scripted(seed, 9)
    known, own = by_state(longest, policy)[0], by_state(smaller, policy)[0]
    assert replay(smaller, known)[0].shared >= own.thought  # but for the answer nothing is decoded again


def test_known_cases() -> None:
    budget = TokenBudget((OPEN, EOS), (OPEN,), (EOS,), 6, num_waits=1, wait=(WAIT,), final=(FINAL,), max_answer=2)
    known = Outcome(
        [MORE, MORE, WAIT, MORE, OPEN, MORE, EOS],
        [-1.0, -1.0, -3.0, -1.0, -2.0, -1.0, -1.0],  # of the end that became "Wait": -3

        [False, False, True, False, False, False, False],
        4, 5, "waited:1", {2: OPEN, 4: OPEN},
    )  # fmt: skip

    def common(**fields: Any) -> tuple[list[int], int, str | None, bool]:
        begun, is_whole = replay(replace(budget, **fields), known)
        return begun.tokens, begun.shared, begun.reason, is_whole

    assert common() == (known.tokens, 7, "waited:1", True)
    assert common(limit=5) == (known.tokens, 7, "waited:1", True)
    assert common(num_waits=0) == ([MORE, MORE, OPEN], 2, "natural", False)
    assert common(limit=1) == ([MORE, OPEN, FINAL], 1, "limit", False)
    assert common(limit=4, final=()) == (known.tokens, 7, "limit", True)  # ended at the limit, with the same token
    assert common(num_waits=2) == ([MORE, MORE, WAIT, MORE, WAIT], 4, None, False)
    # ended by its limit there
    assert common(max_answer=1) == ([MORE, MORE, WAIT, MORE, OPEN, MORE, EOS], 7, "waited:1", True)
    assert replay(replace(budget, num_waits=0), known)[0].logprobs == [-1.0, -1.0, -3.0]  # the end stands here
    assert replay(replace(budget, limit=1), known)[0].logprobs == [-1.0, 0.0, 0.0]
