"""A budget as it is asked for, and as the token ids of one prompt."""

import pytest

from budget_forcing.budget import Budget, effort_limit, resolve
from budget_forcing.budget_state import BudgetState
from budget_forcing.tokens import think_tokens
from configs.errors import EngineError
from configs.schema.sections import BudgetConfig
from data.think_format import S1, XML
from tests.tiny import tiny_tokenizer


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_thinking": -1}, ["max_thinking", "-1"]),
        ({"num_waits": -2}, ["num_waits", "-2"]),
        ({"max_thinking": 3, "min_thinking": 4}, ["min_thinking 4", "max_thinking 3"]),
        ({"max_answer": 0}, ["max_answer", "0"]),
    ],
)
def test_contradictory_budget_is_refused(fields: dict[str, int], words: list[str]) -> None:
    with pytest.raises(EngineError) as error:
        Budget(**fields)  # type: ignore[arg-type]  # fields have several types, a dict of them one
    assert all(word in str(error.value) for word in words)


def test_too_small_context_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokens = think_tokens(S1, tokenizer)
    with pytest.raises(
        EngineError, match=r"prompt 60 \+ thinking 100 \+ end 8 \+ answer 40 .* context of 200.* 92 are left"
    ):
        resolve(Budget(max_thinking=100, max_answer=40), tokens, tokenizer, 60, 200)
    with pytest.raises(EngineError, match="max_tokens 50"):
        resolve(Budget(max_thinking=100, max_answer=40), tokens, tokenizer, 60, 999, max_tokens=50)
    fits = resolve(Budget(max_thinking=92, max_answer=40), tokens, tokenizer, 60, 200)
    assert (fits.limit, fits.limit_reason) == (92, "limit")
    rest = resolve(Budget(max_answer=40), tokens, tokenizer, 60, 200)
    assert (rest.limit, rest.limit_reason) == (92, "context")


def test_wait_text_that_ends_thinking_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(EngineError, match="wait_text"):
        resolve(Budget(num_waits=1, wait_text="<|im_end|>"), think_tokens(S1, tokenizer), tokenizer, 10, 2000)


def test_think_format_becomes_token_ids() -> None:
    tokenizer = tiny_tokenizer()
    s1 = think_tokens(S1, tokenizer)
    assert (s1.ends, s1.eos, s1.texts) == ((1, 2), (2,), ())
    assert tokenizer.decode(s1.end) == S1.end
    assert tokenizer.decode(think_tokens(S1, tokenizer, (2, 0)).ends) == "<|im_start|><|im_end|><|endoftext|>"
    xml = think_tokens(XML, tokenizer)
    assert (xml.ends, xml.texts) == ((2,), ("</reasoning>",))
    with pytest.raises(EngineError, match=r"splits '</reasoning>'.*rounds"):
        BudgetState(resolve(Budget(max_thinking=9), xml, tokenizer, 10, 2000))


def test_effort_is_a_share_of_the_context() -> None:
    assert [effort_limit(level, 2512, 512) for level in ("low", "medium", "high", "auto", None)] == [
        400, 1000, 1600, None, None,
    ]  # fmt: skip
    budget = Budget.from_config(BudgetConfig(effort="medium", num_waits=2, max_answer=100), 1100)
    assert (budget.max_thinking, budget.num_waits, budget.max_answer) == (500, 2, 100)
    assert Budget.from_config(BudgetConfig(), 1100).max_thinking is None
    with pytest.raises(EngineError, match="extreme"):
        effort_limit("extreme", 100, 10)


@pytest.mark.parametrize("fields", [{"effort": "low", "max_thinking": 5}, {"max_thinking": 5, "min_thinking": 6}])
def test_contradictory_recipe_budget_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="max_thinking"):
        BudgetConfig(**fields)  # type: ignore[arg-type]  # fields have several types, a dict of them one
