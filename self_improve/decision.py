"""Whether a round is built upon, what the next one starts from, and why the loop ends.

A round is taken if the interval of its paired gain over the round that it was built on excludes zero from below, at the
level 1 - 0.05 / rounds: all rounds are measured on the same problems, and each is a chance to be lucky. So a loop whose
rounds do nothing builds on any of them in at most 1 of 40 runs. "The mean rose" would take half of such rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from configs.round_record import RoundRecord
from configs.sample import Sample
from evaluation.compare import Comparison, compare_samples
from report.page import points_interval

CHANCE = 0.05
"""Of an interval over all rounds together that leaves out the truth."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`gain` is at 95%, for a reader; `is_taken` goes by the wider interval."""

    gain: Comparison
    is_taken: bool
    verdict: str


def decide(before: Sequence[Sample], after: Sequence[Sample], rounds: int, built_on: int) -> Decision:
    """Compare a round's answers with those of the round that it was built on. Raises `RunError` where none pair up."""
    gain = compare_samples("held-out", before, after)
    level = 1 - CHANCE / rounds
    bound = compare_samples("held-out", before, after, level=level).difference
    is_taken = bound.low > 0
    said = "excludes" if is_taken else "does not exclude"
    end = "built upon" if is_taken else "not built upon"
    verdict = (
        f"{points_interval(gain.difference.as_dict())} points over round {built_on}; at {100 * level:.1f}% the "
        f"interval {said} zero from below: {end}"
    )
    return Decision(gain, is_taken, verdict)


def last_taken(records: Sequence[RoundRecord]) -> RoundRecord:
    """The round that the next one is built on; round 0 at first."""
    return next(record for record in reversed(records) if record.is_taken)


def taken_before(records: Sequence[RoundRecord]) -> list[int]:
    """The numbers of the rounds whose answers a training from the base goes on using."""
    return [record.number for record in records if record.is_taken and record.number > 0]


def why_to_stop(records: Sequence[RoundRecord], rounds: int, patience: int) -> str | None:
    """Why no round follows these; None where one does."""
    done = records[-1].number
    fruitless = done - last_taken(records).number
    if fruitless >= patience:
        return f"{fruitless} round{'s' * (fruitless != 1)} in a row did not help (patience={patience})"
    return f"all {rounds} rounds are done" if done >= rounds else None
