"""The reference: stop at the end of thinking, append "Wait" or the end, prompt again; in rounds over a batch.

It needs nothing of an engine but completions, so it also serves delimiters that the tokenizer splits; it costs a new
request a round. Written apart from `BudgetState`, which the tests hold against it. Source: the s1 authors' README and
their evaluation harness, with one budget over all rounds in place of one per round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from budget_forcing.budget_state import Outcome
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
    """A sequence between rounds.

    refused  ids that may not come at this position: an end was refused there and nothing appended
    begun    what the policy drew in place of a refused end, with its log-probability: a delimiter may begin in it and
             go on in the next round
    stopped  a round stopped in the middle of the thinking: at a stop string of the request's own
    """

    waits: int = 0
    waits_used: int = 0
    refused: tuple[int, ...] = ()
    begun: tuple[Sequence[int], Sequence[float]] = ((), ())
    stopped: bool = False

    @property
    def thinks(self) -> bool:
        """Nothing has ended the thinking yet."""
        return self.reason is None and not self.stopped

    def add(self, tokens: Sequence[int], logprobs: Sequence[float] | None = None) -> None:
        """Append drawn tokens with their log-probabilities, or forced ones."""
        self.tokens += tokens
        self.logprobs += logprobs if logprobs is not None else [0.0] * len(tokens)
        self.forced += [logprobs is None] * len(tokens)


def in_rounds(budgets: Sequence[TokenBudget], complete: Complete, tokenizer: Decoder) -> Sequence[Outcome]:
    """Every sequence under its budget: thinking in rounds until none goes on, then all answers in one."""
    outcomes = [_Sequence() for _ in budgets]
    while thinking := [at for at, outcome in enumerate(outcomes) if outcome.thinks]:
        for at in thinking:
            _check_limit(outcomes[at], budgets[at])
        asks = [_thinking_ask(at, outcomes[at], budgets[at]) for at in thinking if outcomes[at].thinks]
        for ask, (tokens, logprobs) in zip(asks, complete(asks) if asks else [], strict=True):
            outcome = outcomes[ask.sequence]
            if ask.refuse:
                outcome.begun = tokens, logprobs
                continue
            begun, outcome.begun = outcome.begun, ((), ())
            whole = [*begun[0], *tokens], [*begun[1], *logprobs]
            ended = _take(outcome, budgets[ask.sequence], *whole, tokenizer)
            outcome.stopped = not ended and len(tokens) < ask.max_tokens
    for outcome, budget in zip(outcomes, budgets, strict=True):
        if outcome.answer_at is None and not outcome.stopped:  # the limit ended the thinking
            outcome.add(budget.end)
            outcome.answer_at = len(outcome.tokens)
            outcome.add(budget.final)
    asks = [
        Ask(at, tuple(o.tokens), b.max_answer, b.eos)
        for at, (o, b) in enumerate(zip(outcomes, budgets, strict=True))
        if not o.stopped
    ]
    for ask, answer in zip(asks, complete(asks) if asks else [], strict=True):
        outcomes[ask.sequence].add(*answer)
    return outcomes


def _check_limit(outcome: _Sequence, budget: TokenBudget) -> None:
    """End a thinking that has reached its limit."""
    tokens, logprobs = outcome.begun
    if outcome.thought + len(tokens) < budget.limit:
        return
    outcome.add(tokens, logprobs)
    outcome.thought += len(tokens)
    outcome.reason = budget.limit_reason


def _thinking_ask(at: int, outcome: _Sequence, budget: TokenBudget) -> Ask:
    begun = outcome.begun[0]
    before = (*outcome.tokens, *begun)
    if outcome.refused and not begun:
        return Ask(at, before, 1, outcome.refused, refuse=True)
    return Ask(at, before, budget.limit - outcome.thought - len(begun), budget.ends, budget.texts)


def _take(
    outcome: _Sequence, budget: TokenBudget, tokens: list[int], logprobs: list[float], tokenizer: Decoder
) -> bool:
    """Add a round's tokens and answer the end of thinking among them; False: there is none."""
    kept, until, delimiter = _split_end(tokens, budget, tokenizer)
    outcome.add(tokens[:kept], logprobs[:kept])
    outcome.thought += kept
    if kept:
        outcome.refused = ()
    if delimiter is None:
        return False
    below = outcome.thought < budget.min_thinking
    again = bool(outcome.refused)  # other tokens open the delimiter too: where it was refused, it is not another end
    refusable = tokens[kept] not in outcome.refused  # else the policy has nothing left but ends
    if refusable and (below or again or outcome.waits_used < budget.num_waits):
        fits = outcome.thought + max(len(budget.wait), 1) <= budget.limit
        if fits or below:
            outcome.waits_used += not (below or again)
            outcome.waits += not again
            if budget.wait and fits:
                outcome.add(budget.wait)
                outcome.thought += len(budget.wait)
            else:  # the delimiter would come again if its first token could
                opening = (tokens[kept],) if delimiter else ()
                outcome.refused = tuple(dict.fromkeys((*outcome.refused, *budget.ends, *opening)))
            return True
    outcome.reason = f"waited:{outcome.waits}" if outcome.waits else "natural"
    drawn, its_logprobs = tokens[kept:until], logprobs[kept:until]
    if delimiter:
        outcome.add(drawn, its_logprobs)
        outcome.add(_rest_of_end(drawn, delimiter, budget, tokenizer))
    elif drawn[0] == budget.end[0]:
        outcome.add(drawn, its_logprobs)
        outcome.add(budget.end[1:])
    else:
        outcome.add(budget.end)
    outcome.answer_at = len(outcome.tokens)
    return True


def _split_end(tokens: list[int], budget: TokenBudget, tokenizer: Decoder) -> tuple[int, int, str | None]:
    """(thinking tokens, tokens with what ended them, that): None for nothing, "" for an end token, else a delimiter.

    A token that the delimiter starts inside of goes with the delimiter; what comes after it, where the engine could not
    see it whole, with neither.
    """
    text = tokenizer.decode(tokens) if budget.texts else ""
    found = [(text.find(end), end) for end in budget.texts if end in text]
    if found:
        at, end = min(found)
        kept = next(n for n in range(len(tokens), -1, -1) if len(tokenizer.decode(tokens[:n])) <= at)
        until = next(n for n in range(kept, len(tokens) + 1) if end in tokenizer.decode(tokens[kept:n]))
        return kept, until, end
    if tokens and tokens[-1] in budget.ends:
        return len(tokens) - 1, len(tokens), ""
    return len(tokens), len(tokens), None


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
