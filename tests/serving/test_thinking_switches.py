"""What clients say of the thinking, as budgets."""

from typing import Any

import pytest

from budget_forcing.tokens import ThinkTokens
from budget_forcing.vllm_request import budget_of
from configs.errors import EngineError
from configs.schema.sections import BudgetConfig
from serving.thinking_switches import budget_args, has_budget, limit_asked, served_budget
from tests.tiny import tiny_tokenizer

TOKENS = ThinkTokens(ends=(1, 2), end=(1, 5), eos=(2,))


@pytest.mark.parametrize(
    ("template", "token_budget", "limit"),
    [
        ({}, None, None),
        ({"enable_thinking": True}, None, None),
        ({"reasoning_effort": "max", "enable_thinking": True}, None, None),
        ({"enable_thinking": False}, None, 0),
        ({"thinking": False}, 0, 0),
        ({"reasoning_effort": "none", "enable_thinking": False}, None, 0),
        ({"reasoning_effort": "minimal"}, None, 10),
        ({"reasoning_effort": "xhigh"}, None, 95),
        ({"reasoning_effort": "low"}, 50, 50),
    ],
)
def test_switch_is_a_limit(template: dict[str, Any], token_budget: int | None, limit: int | None) -> None:
    """Of 102 tokens, two of which end the thinking."""
    name, asked = limit_asked(template, token_budget)
    budget = budget_of(budget_args(name, asked, {"other": 1}, TOKENS), 102) if asked else None
    assert (budget.limit if budget else None) == limit
    assert budget is None or (budget.limit + budget.max_answer, budget.ends, budget.eos) == (100, (1, 2), (2,))


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(EngineError, match=r"^reasoning_effort: 'huge' is none of none, minimal, low"):
        limit_asked({"reasoning_effort": "huge"}, None)
    with pytest.raises(EngineError, match=r"^thinking_token_budget: 5, beside reasoning_effort: none"):
        limit_asked({"reasoning_effort": "none"}, 5)
    with pytest.raises(EngineError, match=r"^reasoning_effort: vllm_xargs holds a budget already"):
        budget_args("reasoning_effort", {"budget_limit": 0}, {"budget_limit": 5}, TOKENS)
    split = ThinkTokens(ends=(2,), end=(1, 5), eos=(2,), texts=("</think>",))
    with pytest.raises(EngineError, match=r"^enable_thinking: false: this tokenizer splits '</think>'"):
        budget_args("enable_thinking: false", {"budget_limit": 0}, {}, split)


@pytest.mark.parametrize(
    ("section", "limit", "answer"),
    [
        ({"max_thinking": 9, "num_waits": 1, "max_answer": 16, "final_answer_text": "So: "}, 9, 16),
        ({"max_answer": 16}, 80, 16),
        ({"effort": "medium", "max_answer": 16}, 40, 16),
    ],
)
def test_servers_own_budget_is_whole(section: dict[str, Any], limit: int, answer: int) -> None:
    """Of 98 tokens and those that end the thinking and begin the answer."""
    tokenizer = tiny_tokenizer()
    wait = tuple(tokenizer.encode("Wait", add_special_tokens=False))
    final = tokenizer.encode(section.get("final_answer_text", ""), add_special_tokens=False)
    args = budget_args("", served_budget(BudgetConfig(**section), tokenizer), {}, TOKENS)
    budget = budget_of(args, 98 + len(final))
    assert budget is not None
    assert (budget.limit, budget.max_answer, budget.wait) == (limit, answer, wait)
    assert (budget.num_waits, budget.final) == (section.get("num_waits", 0), tuple(final))


def test_request_without_limit_says_so() -> None:
    assert limit_asked({"reasoning_effort": "max"}, None) == ("reasoning_effort", {})
    assert limit_asked({"enable_thinking": True}, None) == ("", {})
    assert has_budget({"budget_limit": 4})
    assert not has_budget({"answer_stops": 1})
