"""What a self-improvement keeps of a round and of each problem that it posed, for the loop, the page and the board."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from configs.run_directory import read_jsonl

ROUNDS_FILE = "rounds.jsonl"
POSED_FILE = "posed.jsonl"
KEPT = "kept"
"""The fate of a problem that is trained on."""


@dataclass(frozen=True, slots=True)
class PosedProblem:
    """One thing that was posed, and what became of it.

    fate       "kept", or why it was thrown away
    detail     what the fate goes by: the problem that it repeats, the share of answers that agree
    pass_rate  the share of right answers; None where it was not answered
    solution   one of the answers that are trained on; "" without one
    """

    id: str
    question: str
    fate: str
    detail: str = ""
    pass_rate: float | None = None
    solution: str = ""

    def as_row(self) -> dict[str, Any]:
        """A line of `posed.jsonl`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A finished round; round 0 is the model as it came, measured.

    built_on  the round whose model solved, and that this one is compared with
    model     the adapter or model folder that was measured; "" for the base model itself
    accuracy  {value, low, high, n} on the held-out problems: avg@k where there are several samples
    gain      the same of the paired change over `built_on`, 95%; None for round 0
    is_taken  whether later rounds build on it; `verdict` says why
    fates     how many posed problems had which fate; `traces`: answers that were trained on
    seconds   by step
    """

    number: int
    built_on: int
    model: str
    accuracy: Mapping[str, float]
    gain: Mapping[str, float] | None = None
    is_taken: bool = True
    verdict: str = ""
    fates: Mapping[str, int] = field(default_factory=dict)
    traces: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)

    def as_row(self) -> dict[str, Any]:
        """A line of `rounds.jsonl`."""
        return asdict(self)


def read_rounds(run_dir: Path) -> list[RoundRecord]:
    """The finished rounds of a run, round 0 first."""
    return [RoundRecord(**row) for row in read_jsonl(run_dir / ROUNDS_FILE)]


def read_posed(round_dir: Path) -> list[PosedProblem]:
    """What a round posed."""
    return [PosedProblem(**row) for row in read_jsonl(round_dir / POSED_FILE)]
