"""Think formats and budgets in one tokenizer's ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from configs.errors import EngineError
from data.think_format import ThinkFormat


class Tokenizer(Protocol):
    """What of a Hugging Face tokenizer is used here."""

    eos_token_id: int | None

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class ThinkTokens:
    """A think format in one tokenizer's ids.

    ends   any of them ends the thinking: the format's end tokens and the end of the turn
    texts  end tokens that this tokenizer splits: only rounds (`budget_forcing.rounds`) can watch for those
    end    what closes the thinking and opens the answer
    eos    any of them ends the turn; the first one is forced at the answer's limit
    """

    ends: tuple[int, ...]
    end: tuple[int, ...]
    eos: tuple[int, ...]
    texts: tuple[str, ...] = ()


def think_tokens(think_format: ThinkFormat, tokenizer: Tokenizer, eos: Sequence[int] = ()) -> ThinkTokens:
    """The format's delimiters as ids; `eos` defaults to the tokenizer's.

    Raises `EngineError` if there is none, and for a format without thinking.
    """
    if not think_format.has_thinking:
        raise EngineError(f"budget: think format {think_format.name} has no thinking to limit; leave the budget out")
    eos = tuple(eos) or (() if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,))
    if not eos:
        raise EngineError("budget: the tokenizer names no end of turn (eos_token), so an answer could not be ended")
    ids = {text: encode(tokenizer, text) for text in think_format.end_tokens}
    single = [its[0] for its in ids.values() if len(its) == 1]
    split = tuple(text for text, its in ids.items() if len(its) != 1)
    return ThinkTokens(tuple(dict.fromkeys([*single, *eos])), encode(tokenizer, think_format.end), eos, split)


def encode(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """`text` in ids, without the tokenizer's own additions."""
    return tuple(tokenizer.encode(text, add_special_tokens=False)) if text else ()


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """A `Budget` in token ids for one prompt: every limit is a number; `limit_reason`: "limit", or "context" set it."""

    ends: tuple[int, ...]
    end: tuple[int, ...]
    eos: tuple[int, ...]
    limit: int
    texts: tuple[str, ...] = ()
    limit_reason: str = "limit"
    min_thinking: int = 0
    num_waits: int = 0
    wait: tuple[int, ...] = ()
    final: tuple[int, ...] = ()
    max_answer: int = 512

    @property
    def max_tokens(self) -> int:
        """Most tokens a sequence under this budget can have, the forced end of the turn included."""
        return self.limit + len(self.end) + len(self.final) + self.max_answer + 1
