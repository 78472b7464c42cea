"""Rules that stop thinking early, tried on trajectories that were probed: what they save, and what they lose.

Sources: agreement of successive probes, Dynasor (Fu et al. 2024, arXiv 2412.20993); confidence of a probe's answer,
DEER (Yang et al. 2025, arXiv 2504.15895). A rule pays for the probes that it takes.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from budget_forcing.agreement import answer_key
from configs.sample import Sample
from evaluation import metrics
from evaluation.results import scores
from evaluation.trajectories import Stop, Trajectory

AGREE = (2, 3, 4)
CONFIDENCE = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
REPETITION = (0.3, 0.5, 0.7, 0.9)
NGRAM = 4
DRAWS = 2_000  # of the bootstrap, for each of many points


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its setting. `holds` says at which of a trajectory's probes it stops, None: at none."""

    kind: str
    setting: float
    holds: Callable[[Trajectory], int | None]
    probes: bool = True
    """It takes every probe on the way, and not only the last one."""

    @property
    def name(self) -> str:
        """As in `results.json`: "agree 2"."""
        return f"{self.kind} {self.setting:g}"

    def stop(self, trajectory: Trajectory) -> Stop:
        """Where it stops."""
        at = self.holds(trajectory)
        spent = trajectory.probes if at is None else trajectory.probes[:at]
        probing = sum(probe.answer_tokens or 0 for probe in spent) if self.probes else 0
        if at is None:
            return Stop(trajectory.sample, trajectory.thought, probing, False)
        return Stop(trajectory.probes[at], trajectory.probes[at].thinking_tokens or 0, probing, True)


def agree(count: int) -> Rule:
    """Stop when so many successive probes have the same answer."""

    def holds(trajectory: Trajectory) -> int | None:
        keys = [answer_key(probe.answer) for probe in trajectory.probes]
        return _first(
            at + 1 >= count and keys[at] is not None and len(set(keys[at + 1 - count : at + 1])) == 1
            for at in range(len(keys))
        )

    return Rule("agree", count, holds)


def confident(least: float) -> Rule:
    """Stop when a probe's answer is so likely: exp(mean log-probability of its tokens)."""

    def holds(trajectory: Trajectory) -> int | None:
        logprobs = [probe.answer_logprob for probe in trajectory.probes]
        return _first(logprob is not None and math.exp(logprob) >= least for logprob in logprobs)

    return Rule("confidence", least, holds)


def repeats(share: float) -> Rule:
    """Stop when, of what was thought since the last probe, so large a share of 4-grams stood in the thinking before."""

    def holds(trajectory: Trajectory) -> int | None:
        ids = trajectory.sample.token_ids
        seen: set[tuple[int, ...]] = set()
        before = 0
        for at, probe in enumerate(trajectory.probes):
            here = probe.thinking_tokens or 0
            new = [ids[start : start + NGRAM] for start in range(max(before - NGRAM + 1, 0), here - NGRAM + 1)]
            if before and new and fmean(gram in seen for gram in new) >= share:
                return at
            seen.update(new)
            before = here
        return None

    return Rule("repetition", share, holds, probes=False)


def _first(holds: Iterable[bool]) -> int | None:
    return next((at for at, its in enumerate(holds) if its), None)


def agree_rules() -> list[Rule]:
    """Agreement of so many probes, each."""
    return [agree(count) for count in AGREE]


def confidence_rules() -> list[Rule]:
    """Confidence from so much on, each."""
    return [confident(least) for least in CONFIDENCE]


def rules() -> list[Rule]:
    """Every rule that is tried."""
    return [*agree_rules(), *confidence_rules(), *map(repeats, REPETITION)]


def probed_figures(point: str, every: int, its: Sequence[Trajectory], seed: int = 0) -> dict[str, Any]:
    """What `results.json` says of probes: accuracy over fixed limits, and of every rule.

    Both are of the same trajectories, so that their differences are paired.
    """
    longest = max((trajectory.thought for trajectory in its), default=0)
    limits = range(every, longest + every, every)
    curve = [{"limit": limit, **figures([trajectory.at(limit) for trajectory in its], seed)} for limit in limits]
    found: list[dict[str, Any]] = [
        {"rule": rule.name, "kind": rule.kind, "setting": rule.setting} | figures([rule.stop(one) for one in its], seed)
        for rule in rules()
    ]
    return {
        "point": point,
        "every": every,
        "probes": sum(len(trajectory.probes) for trajectory in its),
        "curve": curve,
        "rules": [rule for rule in found if rule["early"] > 0],
    }


def figures(stops: Sequence[Stop], seed: int = 0) -> dict[str, Any]:
    """Accuracy of what was answered, and what it took on average: thinking tokens, those of probes, both."""
    graded = scores([numbered(stop.answer) for stop in stops])
    thinking, probing = fmean(stop.thinking for stop in stops), fmean(stop.probing for stop in stops)
    accuracy = metrics.accuracy(list(graded.values()), draws=DRAWS, seed=seed).as_dict() if graded else None
    return {
        "accuracy": accuracy,
        "thinking_tokens": thinking,
        "probe_tokens": probing,
        "tokens": thinking + probing,
        "early": fmean(stop.early for stop in stops),
    }


def numbered(sample: Sample) -> Sample:
    """The sample under one label, whichever it was taken from."""
    return replace(sample, point="")
