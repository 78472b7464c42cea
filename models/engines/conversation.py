"""What an environment made of a completion: the messages, the tools' results, and the instance that was acted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]
"""A message as chat templates take it: `role`, `content`, and what a tool call needs."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A completion of several turns.

    prompt       the messages that were asked, what the environment's `reset` added included
    messages     what followed: the model's turns as the response template reads them, and the tools' results
    results      [start, end) ranges of the completion's tokens that the environment wrote, template included
    calls        how many tools were called; `failures`: how many calls ended in an error
    environment  the instance, whose state holds until its next `reset`: rewards read it before
    """

    prompt: Sequence[Message]
    messages: Sequence[Message]
    results: tuple[tuple[int, int], ...]
    calls: int
    failures: int
    environment: Any

    @property
    def last_turn(self) -> int:
        """The token of the completion with which the model's last turn begins."""
        return self.results[-1][1] if self.results else 0
