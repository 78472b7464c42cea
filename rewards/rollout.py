"""What a reward sees of one completion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.problem import Problem
from data.think_format import ThinkFormat
from models.engines.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion and what is known of it; rewards read it and never change it.

    `text` is the raw completion *with* special tokens (`<|im_start|>answer` stays visible) and with the prefilled part
    in front, but without the prompt, without padding, and without an end of turn that `rewards.grading.extract` does
    not know. Token counts are in token ids. `truncated`: the completion hit the length limit before its end of turn.
    `max_thinking` is the budget that it thought under, one for its whole group; None: there was none.
    `stop` is what ended the thinking: "natural", "waited:k", "limit" or "context" (see `budget_forcing.budget`).
    `forced`: [start, end) character ranges of `text` that a budget put there. `prompt` is the rendered prompt.
    `completion_ids` (without the prompt and the padding) may be left out; TRL-style plug-ins that ask for them need
    them.

    In an environment `text` is the model's last turn, the one that answers; `earlier` is all of the completion before
    it, what the environment wrote included: the ranges `tool_results` of `earlier` + `text`, which `forced` then is of
    too. Token counts are of the whole. `conversation` has the messages and the environment itself, whose state holds
    until the next completions are drawn.
    """

    problem: Problem
    text: str
    think_format: ThinkFormat
    prompt: str = ""
    completion_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0
    max_tokens: int | None = None
    max_thinking: int | None = None
    truncated: bool = False
    stop: str = "natural"
    forced: tuple[tuple[int, int], ...] = ()
    completion_ids: tuple[int, ...] = ()
    earlier: str = ""
    tool_results: tuple[tuple[int, int], ...] = ()
    conversation: Conversation | None = None


Reward = Callable[[Sequence[Rollout]], list[float | None]]
"""Scores a batch; `None` means "could not be judged", never zero."""
