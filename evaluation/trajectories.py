"""A thinking with the answers that were forced on its way, and what it would have answered had it stopped there.

`probes.jsonl` holds the probes of one point, each a `Sample` of its answer alone, whose `thinking_tokens` say where it
was taken. Where the thinking ended by itself there is no probe any more: its answer is the sample's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from configs.sample import Sample

PROBES_FILE = "probes.jsonl"


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a thinking was stopped: the answer from there, and what it took.

    answer    the sample whose answer counts: a probe, or the one that thought to its end
    thinking  thinking tokens until then
    probing   tokens of the answers of probes that were taken to decide, this one's own left out
    early     it was stopped before its end
    """

    answer: Sample
    thinking: int
    probing: int
    early: bool


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One thinking: the sample that thought to its end, and its probes, in order."""

    sample: Sample
    probes: Sequence[Sample]

    @property
    def thought(self) -> int:
        """Thinking tokens until its end."""
        return self.sample.thinking_tokens or 0

    def at(self, limit: int) -> Stop:
        """What a limit of so many thinking tokens, one at which it was probed, would have given."""
        return next(
            (Stop(probe, limit, 0, True) for probe in self.probes if probe.thinking_tokens == limit),
            Stop(self.sample, self.thought, 0, False),
        )


def trajectories(samples: Sequence[Sample], probes: Sequence[Sample], every: int) -> list[Trajectory]:
    """The trajectories of the point that was probed at `every` so many thinking tokens, whose `samples` these are.

    Probes that a file has besides are left out: of another spacing, and from after a thinking's end, such as those of a
    longer budget.
    """
    by_sample: dict[tuple[str, int], list[Sample]] = {}
    for probe in sorted(probes, key=lambda one: one.thinking_tokens or 0):
        if not (probe.thinking_tokens or 0) % every:
            by_sample.setdefault((probe.id, probe.sample), []).append(probe)

    def taken(sample: Sample) -> list[Sample]:
        end = sample.thinking_tokens or 0
        return [one for one in by_sample.get((sample.id, sample.sample), []) if (one.thinking_tokens or 0) < end]

    return [Trajectory(sample, taken(sample)) for sample in samples]
