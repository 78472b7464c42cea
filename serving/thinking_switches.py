"""What clients say of the thinking, in the words of other servers → a budget of ours.

reasoning_effort        OpenAI: none, minimal, low, medium, high, xhigh (a share of the request's tokens), max (all)
enable_thinking         Qwen's and vLLM's chat_template_kwargs; `thinking`, DeepSeek's: false closes it at once
thinking_token_budget   vLLM: so many tokens
"""

from collections.abc import Mapping
from typing import Any

from budget_forcing.budget import EFFORT_SHARES
from budget_forcing.tokens import ThinkTokens, Tokenizer, encode
from budget_forcing.vllm_request import LISTS, PREFIX, SHARE
from configs.errors import EngineError
from configs.schema.sections import BudgetConfig

SWITCHES = ("enable_thinking", "thinking")
NO_THINKING, NO_LIMIT = "none", "max"
CLOSED_AT_ONCE = {PREFIX + "limit": 0}


def limit_asked(template: Mapping[str, Any], token_budget: int | None) -> tuple[str, dict[str, Any]]:
    """(what the request names, the limit in `vllm_xargs`); an empty name where it leaves the thinking to the server.

    The limit is empty where the request asks for none. `template`: its chat template's arguments, `reasoning_effort`
    among them. Raises `EngineError` for an effort that is not known, or an allowance for thinking that is switched off.
    """
    off = next((f"{name}: false" for name in SWITCHES if template.get(name) is False), "")
    effort = template.get("reasoning_effort")
    if effort == NO_THINKING:
        off = "reasoning_effort: none"
    if token_budget is not None:
        if off and token_budget > 0:
            raise EngineError(f"thinking_token_budget: {token_budget}, beside {off}; leave one of them out")
        return "thinking_token_budget", {PREFIX + "limit": token_budget}
    if off:
        return off, CLOSED_AT_ONCE
    if effort is None:
        return "", {}
    if effort == NO_LIMIT:
        return "reasoning_effort", {}
    if effort not in EFFORT_SHARES:
        names = ", ".join([NO_THINKING, *EFFORT_SHARES, NO_LIMIT])
        raise EngineError(f"reasoning_effort: {effort!r} is none of {names}")
    return "reasoning_effort", {SHARE: EFFORT_SHARES[effort]}


def budget_args(name: str, limit: Mapping[str, Any], xargs: Mapping[str, Any], tokens: ThinkTokens) -> dict[str, Any]:
    """`xargs` with the budget of `limit`, which the request asked for by `name`.

    Raises `EngineError` where they hold a budget already, or the tokenizer splits the end of the thinking.
    """
    if has_budget(xargs):
        raise EngineError(f"{name}: vllm_xargs holds a budget already; leave one of them out")
    if tokens.texts:
        raise EngineError(
            f"{name}: this tokenizer splits {tokens.texts[0]!r} into several tokens, so no budget is kept"
        )
    return {**xargs, **{PREFIX + key: list(getattr(tokens, key, ())) for key in LISTS}, **limit}


def has_budget(xargs: Mapping[str, Any]) -> bool:
    """Whether a request's `vllm_xargs` hold a budget."""
    return any(key.startswith(PREFIX) for key in xargs)


def served_budget(budget: BudgetConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """A budget that a server was started with, as the `limit` of `budget_args`; an effort is a share of the request."""
    if budget.max_thinking is not None:
        limit: dict[str, Any] = {PREFIX + "limit": budget.max_thinking}
    else:
        limit = {SHARE: EFFORT_SHARES.get(budget.effort or "auto", 1.0)}
    numbers = {PREFIX + name: getattr(budget, name) for name in ("min_thinking", "num_waits", "max_answer")}
    texts = {"wait": budget.wait_text, "final": budget.final_answer_text}
    return limit | numbers | {PREFIX + name: list(encode(tokenizer, text)) for name, text in texts.items()}
