"""The reference: stop at the end of thinking, append "Wait" or the end, prompt again; in rounds over a batch.

It needs nothing of an engine but completions, so it also serves delimiters that the tokenizer splits; it costs a new
request a round. Written apart from `BudgetState`, which the tests hold against it. Source: the s1 authors' README and
their evaluation harness, with one budget over all rounds in place of one per round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from budget_forcing.budget import Outcome
from budget_forcing.tokens import TokenBudget, Tokenizer, encode


class Decoder(Tokenizer, Protocol):
    """A tokenizer that decodes too."""

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """A completion wanted in this round.

    sequence    which sequence it goes on with
    tokens      what stands after that sequence's prompt
    max_tokens  most new tokens
    ends        ids that stop it; the drawn one is returned as the last token
    texts       strings that stop it; the tokens that spell one are returned
    refuse      none of `ends` may come as the first token
    """

    sequence: int
    tokens: tuple[int, ...]
    max_tokens: int
    ends: tuple[int, ...]
    texts: tuple[str, ...] = ()
    refuse: bool = False


Complete = Callable[[Sequence[Ask]], list[tuple[list[int], list[float]]]]
"""New tokens and their log-probabilities for each `Ask`."""


@dataclass(slots=True)
class _Sequence(Outcome):
    """A sequence between rounds."""

    waits: int = 0
    waits_used: int = 0

    def add(self, tokens: Sequence[int], logprobs: Sequence[float] | None = None) -> None:
        """Append drawn tokens with their log-probabilities, or forced ones."""
        self.tokens += tokens
        self.logprobs += logprobs if logprobs is not None else [0.0] * len(tokens)
        self.forced += [logprobs is None] * len(tokens)


def in_rounds(budgets: Sequence[TokenBudget], complete: Complete, tokenizer: Decoder) -> Sequence[Outcome]:
    """Every sequence under its budget: thinking in rounds until none goes on, then all answers in one."""
    outcomes = [_Sequence() for _ in budgets]
    refused: set[int] = set()
    while thinking := [at for at, outcome in enumerate(outcomes) if outcome.reason is None]:
        for at in thinking:
            if outcomes[at].thought >= budgets[at].limit:
                outcomes[at].reason = budgets[at].limit_reason
        thinking = [at for at in thinking if outcomes[at].reason is None]
        asks = [_thinking_ask(at, outcomes[at], budgets[at], at in refused) for at in thinking]
        refused = set()
        for at, (tokens, logprobs) in zip(thinking, complete(asks) if asks else [], strict=True):
            refused |= {at} if _take(outcomes[at], budgets[at], tokens, logprobs, tokenizer) else set()
    for outcome, budget in zip(outcomes, budgets, strict=True):
        if outcome.answer_at is None:  # the limit ended the thinking
            outcome.add(budget.end)
            outcome.answer_at = len(outcome.tokens)
            outcome.add(budget.final)
    asks = [
        Ask(at, tuple(o.tokens), b.max_answer, b.eos) for at, (o, b) in enumerate(zip(outcomes, budgets, strict=True))
    ]
    for outcome, (tokens, logprobs) in zip(outcomes, complete(asks), strict=True):
        outcome.add(tokens, logprobs)
    return outcomes


def _thinking_ask(at: int, outcome: _Sequence, budget: TokenBudget, refuse: bool) -> Ask:
    left = budget.limit - outcome.thought
    if refuse:
        return Ask(at, tuple(outcome.tokens), 1, budget.ends, refuse=True)
    return Ask(at, tuple(outcome.tokens), left, budget.ends, budget.texts)


def _take(
    outcome: _Sequence, budget: TokenBudget, tokens: list[int], logprobs: list[float], tokenizer: Decoder
) -> bool:
    """Add a round's tokens and answer its end, if it has one; True: the end was refused and nothing appended."""
    kept, delimiter = _split_end(tokens, budget, tokenizer)
    outcome.add(tokens[:kept], logprobs[:kept])
    outcome.thought += kept
    if delimiter is None:
        return False
    below = outcome.thought < budget.min_thinking
    if below or outcome.waits_used < budget.num_waits:
        fits = outcome.thought + max(len(budget.wait), 1) <= budget.limit
        if fits or below:
            outcome.waits_used += not below
            outcome.waits += 1
            if budget.wait and fits:
                outcome.add(budget.wait)
                outcome.thought += len(budget.wait)
                return False
            return True
    outcome.reason = f"waited:{outcome.waits}" if outcome.waits else "natural"
    if delimiter:
        outcome.add(tokens[kept:], logprobs[kept:])
        outcome.add(_rest_of_end(tokens[kept:], delimiter, budget, tokenizer))
    elif tokens[-1] == budget.end[0]:
        outcome.add(tokens[-1:], logprobs[-1:])
        outcome.add(budget.end[1:])
    else:
        outcome.add(budget.end)
    outcome.answer_at = len(outcome.tokens)
    return False


def _split_end(tokens: list[int], budget: TokenBudget, tokenizer: Decoder) -> tuple[int, str | None]:
    """(thinking tokens, what ended them): None for nothing, "" for an end token, else the delimiter's text.

    A token that the delimiter starts inside of goes with the delimiter.
    """
    if tokens and tokens[-1] in budget.ends:
        return len(tokens) - 1, ""
    if budget.texts:
        text = tokenizer.decode(tokens)
        found = [(text.find(end), end) for end in budget.texts if end in text]
        if found:
            at, end = min(found)
            kept = next(n for n in range(len(tokens), -1, -1) if len(tokenizer.decode(tokens[:n])) <= at)
            return kept, end
    return len(tokens), None


def _rest_of_end(drawn: list[int], delimiter: str, budget: TokenBudget, tokenizer: Decoder) -> tuple[int, ...]:
    """What of the format's end is still missing after the tokens that spelled `delimiter`."""
    written = tokenizer.decode(drawn)
    written = written[written.index(delimiter) :]
    end = tokenizer.decode(budget.end)
    if not end.startswith(delimiter):
        return budget.end
    rest = end[len(delimiter) :]
    beyond = written[len(delimiter) :]
    return encode(tokenizer, rest[len(beyond) :] if rest.startswith(beyond) else rest)
