"""A budget as flat key-value pairs and back."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from budget_forcing.budget_state import BudgetState, Outcome
from budget_forcing.tokens import TokenBudget
from budget_forcing.vllm_request import budget_of, extra_args
from configs.errors import EngineError
from tests.budget_forcing.test_budget_state import budgets

GOOD = TokenBudget((1, 2), (1, 5), (2,), limit=9, num_waits=1, wait=(7,), final=(8, 9), max_answer=3)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budgets)
def test_budget_round_trips_through_json(budget: TokenBudget) -> None:
    begun = Outcome([7, 7, 2, 7], drawn_ends={2: 2})
    sent = json.loads(json.dumps(extra_args(budget, "nonce", logprobs=True, seed=2**64 - 1, begun=begun)))
    assert all(isinstance(value, str | int) or all(isinstance(i, int) for i in value) for value in sent.values())
    assert budget_of(sent, 1000) == budget


def test_requests_without_a_budget_have_none() -> None:
    assert budget_of(None, 9) is None
    assert budget_of({"session_id": "x"}, 9) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"budget_limit": -1}, "budget_limit"),
        ({"budget_limit": 2.5}, "budget_limit"),
        ({"budget_limit": "9"}, "budget_limit"),
        ({"budget_limit": True}, "budget_limit"),
        ({"budget_limit": None}, "budget_limit"),
        ({"budget_share": 0.5}, "budget_limit"),
        ({"budget_limit": None, "budget_share": 1.5}, "budget_share"),
        ({"budget_limit": None, "budget_share": "0.5"}, "budget_share"),
        ({"budget_ends": []}, "budget_ends"),
        ({"budget_end": "text"}, "budget_end"),
        ({"budget_wait": [1]}, "budget_wait"),
        ({"budget_wait": [-3]}, "budget_wait"),
        ({"budget_max_answer": 0}, "budget_max_answer"),
        ({"budget_min_thinking": 10}, "budget_min_thinking"),
        ({"budget_waits": 1}, "budget_waits"),
        ({"budget_max_answer": 2**63}, "budget_max_answer"),
        ({"budget_nonce": ["a"]}, "budget_nonce"),
        ({"budget_nonce": 7}, "budget_nonce"),
        ({"budget_logprobs": [1]}, "budget_logprobs"),
        ({"budget_logprobs": 2}, "budget_logprobs"),
        ({"budget_seed": -1}, "budget_seed"),
        ({"budget_seed": 1.5}, "budget_seed"),
        ({"budget_seed": 2**64}, "budget_seed"),
        ({"budget_begun": "3"}, "budget_begun"),
        ({"budget_drawn": [3]}, "budget_drawn"),
        ({"budget_drawn": "3"}, "budget_drawn"),
    ],
)
def test_wrong_key_is_named(change: dict[str, Any], word: str) -> None:
    with pytest.raises(EngineError, match=f"^{word}:"):
        budget_of(extra_args(GOOD) | change, 1000)


def test_share_is_of_what_max_tokens_leaves() -> None:
    """40 tokens less the two that end the thinking; the answer gets the rest, or what it was promised."""
    shared = {"budget_share": 0.5, "budget_ends": [2], "budget_end": [1, 5], "budget_eos": [2]}
    budgets_read = [budget_of(shared | more, 40) for more in ({}, {"budget_max_answer": 18})]
    assert [(budget.limit, budget.max_answer) for budget in budgets_read if budget] == [(19, 19), (10, 18)]


def test_answer_gets_what_thinking_leaves() -> None:
    limited = {"budget_limit": 30, "budget_ends": [2], "budget_end": [1, 5], "budget_eos": [2]}
    budget = budget_of(limited, 40)
    assert budget is not None
    assert budget.max_answer == 8


def test_split_delimiters_are_refused() -> None:
    split = TokenBudget((2,), (1, 5), (2,), limit=9, texts=("</reasoning>",))
    with pytest.raises(EngineError, match="splits '</reasoning>'"):
        extra_args(split)
    with pytest.raises(EngineError, match="splits"):
        BudgetState(split)
