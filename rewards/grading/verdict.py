"""What a grader says about one answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from configs.errors import RewardError
from configs.sample import RIGHT_FROM


@dataclass(frozen=True, slots=True)
class Verdict:
    """How good an answer is, and why.

    `score` is from 0 (wrong) to 1 (right); None: the answer could not be judged, which is never a wrong answer.
    `reason` says how it was decided, or why it was not. `parts` is what the score is made of, by name: the fields of a
    JSON object, precision and recall, a family's own score; empty where it has no parts.
    """

    score: float | None
    reason: str
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.score is not None and not 0 <= self.score <= 1:
            raise RewardError(f"a verdict's score is {self.score!r}; give 0 to 1, or None for “could not be judged”")

    @property
    def is_right(self) -> bool | None:
        """Whether the answer is right as a whole; None where it could not be judged."""
        return None if self.score is None else self.score >= RIGHT_FROM


def best(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on one answer of its verdicts by several right replies: the highest, of equal ones the first.

    One that could not be judged stands above all but a right one: the answer may be right by that reply.
    """
    return max(verdicts, key=lambda verdict: (verdict.is_right is True, verdict.score is None, verdict.score or 0.0))
