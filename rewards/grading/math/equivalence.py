"""What the comparison of two mathematical answers says."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether an answer is equivalent to the gold one.

    `correct` is None when that could not be judged; `reason` says how it was decided, or why it was not.
    Reasons of a decision: "exact", "number", "text", "structure", "expression", "math-verify", "no answer", "too long".
    Reasons of None: "refused: …" (too costly, not evaluated), "timeout", "memory", "crash", "no gold answer",
    "gold answer can't be read".
    """

    correct: bool | None
    reason: str
