"""Thinking on where an answer is there already: what the model is asked, and the answer made of both parts.

What comes out is what a larger budget with one more "Wait" would have drawn from: an end of thinking that the model
chose becomes "Wait", and where a limit cut the thinking it goes on from there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from budget_forcing.budget import Budget
from budget_forcing.tokens import encode
from configs.errors import EngineError
from models.engines.base import Engine
from models.engines.generation import Generation, decode

CUT = ("limit", "context")
"""Ends of thinking that the model did not choose."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stays of an answer: the thinking, and the "Wait" that takes the place of its end.

    token_ids   of both; `forced`: per token, the policy did not choose it
    waits       "Wait"s in it, the new one included
    is_refused  the end was taken away and nothing put in its place: it must not come at once again
    """

    token_ids: tuple[int, ...]
    forced: tuple[bool, ...]
    waits: int
    is_refused: bool = False

    def kinds(self) -> Iterator[tuple[int, str]]:
        """Each token with what a writer calls it."""
        for token, is_forced in zip(self.token_ids, self.forced, strict=True):
            yield token, "forced" if is_forced else "thinking"


def head_of(earlier: Generation, wait_text: str, engine: Engine) -> Head:
    """The thinking of an answer, open again."""
    thought = earlier.thinking_tokens
    was_cut = earlier.stop in CUT
    wait = () if was_cut else encode(engine.tokenizer, wait_text)
    forced = (*earlier.forced[:thought], *(True for _ in wait))
    before = str(earlier.stop).removeprefix("waited:")
    waits = (int(before) if before.isdecimal() else 0) + bool(wait)
    return Head((*earlier.token_ids[:thought], *wait), forced, waits, is_refused=not (was_cut or wait))


def longer_budget(budget: Budget, earlier: Generation, head: Head, more: int | None, engine: Engine) -> Budget:
    """The budget of the rest: `more` tokens, None: as many as it has thought; never over what the context leaves.

    Raises `EngineError` where the context leaves no token to think.
    """
    ending = len(encode(engine.tokenizer, engine.think_format.end + budget.final_answer_text))
    used = len(earlier.prompt_ids) + len(head.token_ids)
    left = engine.context - used - ending - budget.max_answer
    if left < 1:
        raise EngineError(f"/longer: the context of {engine.context} tokens is full; raise --context, or /reset")
    wanted = max(1, earlier.thinking_tokens if more is None else more)
    return replace(budget, max_thinking=min(wanted, left), min_thinking=int(head.is_refused), num_waits=0)


def joined(earlier: Generation, head: Head, later: Generation, engine: Engine) -> Generation:
    """One completion of the earlier prompt: the head, and what came after it."""
    ids = head.token_ids + later.token_ids
    logprobs = (*earlier.logprobs, *(0.0 for _ in ids))[: len(head.token_ids)] + later.logprobs
    whole = replace(
        later,
        prompt_ids=earlier.prompt_ids,
        token_ids=ids,
        text=decode(engine.tokenizer, ids),
        thinking_tokens=len(head.token_ids) + later.thinking_tokens,
        forced=head.forced + later.forced,
        logprobs=logprobs if later.logprobs else (),
        stop=f"waited:{head.waits}" if later.stop == "natural" and head.waits else later.stop,
    )
    parts = engine.think_format.split(engine.turn(whole))
    return replace(whole, thinking=parts.thinking, answer=parts.answer)
