"""What the grader says about one answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """`correct` is None when the answer could not be judged; `reason` says how it was decided, or why it was not.

    Reasons of a decision: "exact", "number", "text", "structure", "expression", "math-verify", "no answer", "too long".
    Reasons of None: "refused: …" (a bomb, not evaluated), "timeout", "memory", "crash", "no gold answer".
    """

    correct: bool | None
    reason: str
