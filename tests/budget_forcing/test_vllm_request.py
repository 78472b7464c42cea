"""A budget as flat key-value pairs and back."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from budget_forcing.budget import BudgetState
from budget_forcing.tokens import TokenBudget
from budget_forcing.vllm_request import budget_of, extra_args
from configs.errors import EngineError
from tests.budget_forcing.test_budget import budgets

GOOD = TokenBudget((1, 2), (1, 5), (2,), limit=9, num_waits=1, wait=(7,), final=(8, 9), max_answer=3)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budgets)
def test_budget_round_trips_through_json(budget: TokenBudget) -> None:
    sent = json.loads(json.dumps(extra_args(budget, "nonce", logprobs=True)))
    assert all(isinstance(value, str | int) or all(isinstance(i, int) for i in value) for value in sent.values())
    assert budget_of(sent) == budget


def test_requests_without_a_budget_have_none() -> None:
    assert budget_of(None) is None
    assert budget_of({"session_id": "x"}) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"budget_limit": -1}, "budget_limit"),
        ({"budget_limit": 2.5}, "budget_limit"),
        ({"budget_limit": "9"}, "budget_limit"),
        ({"budget_limit": True}, "budget_limit"),
        ({"budget_limit": None}, "budget_limit"),
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
    ],
)
def test_wrong_key_is_named(change: dict[str, Any], word: str) -> None:
    with pytest.raises(EngineError, match=f"^{word}:"):
        budget_of(extra_args(GOOD) | change)


def test_split_delimiters_are_refused() -> None:
    split = TokenBudget((2,), (1, 5), (2,), limit=9, texts=("</reasoning>",))
    with pytest.raises(EngineError, match="splits '</reasoning>'"):
        extra_args(split)
    with pytest.raises(EngineError, match="splits"):
        BudgetState(split)
