"""A budget as flat key-value pairs: vLLM's `SamplingParams.extra_args`, and `vllm_xargs` over HTTP.

    client.chat.completions.create(..., extra_body={"vllm_xargs": extra_args(token_budget)})

HTTP takes flat values only, so every field has a key of its own, all with one prefix. Texts are token ids here: the
server's `/tokenize` gives them to a client without the tokenizer.
"""

import os
from collections.abc import Mapping
from typing import Any

from budget_forcing.budget_state import BudgetState, Outcome
from budget_forcing.tokens import TokenBudget
from configs.errors import EngineError

PROCESSOR = "budget_forcing.vllm_processor:BudgetProcessor"
EXTENSION = "budget_forcing.vllm_worker.WorkerExtension"
"""What vLLM is started with, as `logits_processors` and `worker_extension_cls`."""
PREFIX = "budget_"
LISTS = ("ends", "end", "eos", "wait", "final")
NUMBERS = ("limit", "min_thinking", "num_waits", "max_answer")
SHARE = PREFIX + "share"
NONCE = PREFIX + "nonce"
LOGPROBS = PREFIX + "logprobs"
SEED = PREFIX + "seed"
BEGUN = PREFIX + "begun"
DRAWN = PREFIX + "drawn"
LARGEST = 2**31 - 1  # of a number: what is counted with it fits 64 bits
MOST_ENDS = 64  # the ends of all rows in a batch are one tensor, as wide as the longest list


def extra_args(
    budget: TokenBudget,
    nonce: str | None = None,
    logprobs: bool = False,
    seed: int | None = None,
    begun: Outcome | None = None,
) -> dict[str, Any]:
    """`budget` as flat `SamplingParams.extra_args`, which are `vllm_xargs` over HTTP.

    `nonce` names the request for `WorkerExtension.budget_outcomes`; `logprobs` makes that report what has to be added
    to vLLM's processed log-probabilities to make them the policy's. `seed`: every token is drawn from (seed, position),
    as the Transformers engine draws it. `begun`: the completion's first tokens, which end the prompt.
    """
    BudgetState(budget)  # refuses delimiters of several tokens
    args: dict[str, Any] = {PREFIX + name: list(getattr(budget, name)) for name in LISTS}
    args |= {PREFIX + name: getattr(budget, name) for name in (*NUMBERS, "limit_reason")}
    if nonce is not None:
        args[NONCE] = nonce
    if seed is not None:
        args[SEED] = seed
    if begun is not None:
        args |= {BEGUN: len(begun.tokens), DRAWN: [number for pair in begun.drawn_ends.items() for number in pair]}
    return args | ({LOGPROBS: 1} if logprobs else {})


def budget_of(args: dict[str, Any] | None, max_tokens: int) -> TokenBudget | None:
    """The budget in the `extra_args` of a request for at most `max_tokens` tokens; None if it has none.

    Raises `EngineError` naming a key that is wrong.
    """
    given = {key: value for key, value in (args or {}).items() if key.startswith(PREFIX)}
    if not given:
        return None
    known = {PREFIX + name for name in (*LISTS, *NUMBERS, "limit_reason")} | {
        SHARE,
        NONCE,
        LOGPROBS,
        SEED,
        BEGUN,
        DRAWN,
    }
    for key in given:
        if key not in known:
            raise EngineError(f"{key}: unknown; the budget's keys are {', '.join(sorted(known))}")
    for name in ("ends", "end", "eos"):
        if given.get(PREFIX + name) in (None, []):
            raise EngineError(f"{PREFIX}{name}: missing; a budget needs it")
    if (given.get(PREFIX + "limit") is None) == (given.get(SHARE) is None):
        raise EngineError(f"{PREFIX}limit: give this, or {SHARE} in its place, and not both")
    fields: dict[str, Any] = {}
    for name in NUMBERS:
        value = given.get(PREFIX + name)
        if value is not None:
            least = int(name == "max_answer")
            if type(value) is not int or not least <= value <= LARGEST:
                raise EngineError(f"{PREFIX}{name}: {value!r}; give a whole number from {least} to {LARGEST}")
            fields[name] = value
    for name in LISTS:
        ids = given.get(PREFIX + name, [])
        if not isinstance(ids, list) or not all(type(i) is int and i >= 0 for i in ids):
            raise EngineError(f"{PREFIX}{name}: {ids!r}; give a list of token ids")
        fields[name] = tuple(ids)
    if "limit_reason" in {key.removeprefix(PREFIX) for key in given}:
        fields["limit_reason"] = str(given[PREFIX + "limit_reason"])
    if not isinstance(given.get(NONCE, ""), str):
        raise EngineError(f"{NONCE}: {given[NONCE]!r}; give a string")
    if given.get(LOGPROBS, 0) not in (0, 1):
        raise EngineError(f"{LOGPROBS}: {given[LOGPROBS]!r}; give 0 or 1")
    if type(given.get(SEED, 0)) is not int or not 0 <= given.get(SEED, 0) < 1 << 64:
        raise EngineError(f"{SEED}: {given[SEED]!r}; give a whole number of 64 bits")
    if type(given.get(BEGUN, 0)) is not int or not 0 <= given.get(BEGUN, 0) <= LARGEST:
        raise EngineError(f"{BEGUN}: {given[BEGUN]!r}; give a whole number from 0 to {LARGEST}")
    drawn = given.get(DRAWN, [])
    if not isinstance(drawn, list) or len(drawn) % 2 or not all(type(i) is int and i >= 0 for i in drawn):
        raise EngineError(f"{DRAWN}: {drawn!r}; give pairs of a position and a token id, one after the other")
    # what the request leaves beside the end of the thinking goes to the thinking and the answer
    room = max_tokens - len(fields["end"]) - len(fields["final"])
    if (share := given.get(SHARE)) is not None:
        if type(share) not in (int, float) or not 0 <= share <= 1:
            raise EngineError(f"{SHARE}: {share!r}; give a number from 0 to 1")
        fields["limit"] = int(share * max(room - fields.get("max_answer", 0), 0))
    fields.setdefault("max_answer", max(room - fields["limit"], 1))
    budget = TokenBudget(**fields)
    if budget.min_thinking > budget.limit:
        raise EngineError(f"budget_min_thinking: {budget.min_thinking} is above budget_limit {budget.limit}")
    if set(budget.wait) & set(budget.ends):
        raise EngineError("budget_wait: holds a token of budget_ends")
    return budget


def request_budget(params: Any) -> TokenBudget | None:
    """The budget of a request with these `SamplingParams`; None if it has none."""
    return budget_of(params.extra_args, LARGEST if params.max_tokens is None else params.max_tokens)


def state_of(budget: TokenBudget, args: Mapping[str, Any], begun: int) -> BudgetState:
    """Where a request starts whose prompt ends with `begun` tokens of its completion, by its `extra_args`."""
    drawn = args.get(DRAWN, [])
    return BudgetState.after(budget, dict(zip(drawn[::2], drawn[1::2], strict=True)), begun)


def check_params(params: Any) -> None:
    """Raise `EngineError` for a budget that can't be kept with these `SamplingParams`."""
    budget = request_budget(params)
    if budget is None:
        return
    if params.presence_penalty or params.frequency_penalty or params.repetition_penalty != 1.0:
        raise EngineError("budget: penalties change the distribution after the budget decided; leave them out")
    if params.structured_outputs is not None:
        raise EngineError("budget: structured outputs forbid the tokens that a budget forces; leave one of them out")
    if params.thinking_token_budget is not None:
        raise EngineError("budget: vLLM's own thinking_token_budget would end the thinking too; leave one of them out")
    if params.ignore_eos:
        raise EngineError("budget: with ignore_eos the answer would have no end; leave it out")
    stop_ids = {*(params.stop_token_ids or []), *budget.eos}
    stops = stop_ids & {*budget.end, *budget.final, *budget.wait}
    if stops:
        raise EngineError(
            f"budget: forces the ids {sorted(stops)}, which stop the request; leave them out of the stops"
        )
    ends = len(stop_ids.union(budget.ends))
    if ends > MOST_ENDS:
        raise EngineError(f"budget_ends: {ends} ids with those that stop the request; give at most {MOST_ENDS}")
    need = budget.limit + len(budget.end) + len(budget.final) + budget.max_answer
    if params.max_tokens is not None and params.max_tokens + params.extra_args.get(BEGUN, 0) < need:
        raise EngineError(
            f"budget: thinking {budget.limit} + end {len(budget.end) + len(budget.final)} + answer {budget.max_answer} "
            f"tokens are more than max_tokens {params.max_tokens}; raise it or lower the budget"
        )
    if params.n > 1 and os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0":
        raise EngineError("budget: n > 1 inside one process shares one state; send n requests instead")
