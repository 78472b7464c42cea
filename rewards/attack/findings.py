"""What an attack found: wrong completions that pay, and what is odd about the rewards themselves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rewards.attack.measure import NOTED, OPEN, Bench, Honest, Measured

MOST = 100
"""Finds that are kept."""
State = Literal["open", "noted"]


@dataclass(frozen=True, slots=True)
class Remark:
    """One oddity of the rewards that no single completion shows."""

    state: State
    text: str

    def __str__(self) -> str:
        return f"{self.state}: {self.text}"


def state_of(found: Measured) -> State:
    """Whether it pays so much that training will find it."""
    return "open" if found.share >= OPEN - 1e-9 else "noted"


def finds(measured: Iterable[Measured]) -> list[Measured]:
    """Those that pay, each once, the most profitable first; each reward's best is among them."""
    paying = {found.genome: found for found in measured if found.share >= NOTED - 1e-9}
    ordered = sorted(paying.values(), key=lambda found: -found.share)
    best_of = {name: found for found in reversed(ordered) for name in found.through}
    firsts = [found for found in ordered if any(found is best for best in best_of.values())]
    rest = [found for found in ordered if not any(found is first for first in firsts)]
    return sorted([*firsts, *rest[: MOST - len(firsts)]], key=lambda found: -found.share)


def remarks(bench: Bench) -> list[Remark]:
    """What honest answers alone show, what breaks a reward, what is never judged, and what never changes."""
    found = list(_of_honest(bench.ladder))
    found += [Remark("open", f"a completion breaks a reward, which stops a run: {e}") for e in bench.broken.values()]
    if unjudged := _least([one for one in bench.measured.values() if one is not None and one.unjudged >= OPEN]):
        text = f"{unjudged.genome.name}: not judged on {unjudged.unjudged:.0%} of the problems, so it costs nothing"
        found.append(Remark("noted", text))
    return [*found, *(_of_constant(bench) if bench.measured else [])]


def _of_constant(bench: Bench) -> Iterable[Remark]:
    for name, values in bench.values.items():
        if len(values) == 1:
            yield Remark("noted", f"reward {name} is {next(iter(values))} for every completion")


def _of_honest(ladder: Sequence[Honest]) -> Iterable[Remark]:
    inverted = [one for one in ladder if one.gap <= 0]
    if inverted:
        one = inverted[0]
        earned = f"a right answer earns {one.right:.3g}, a wrong one {one.wrong:.3g}"
        yield Remark("open", f"{earned} (both with about {one.words} words of thinking)")
        return
    best, worst = max(ladder, key=lambda one: one.wrong), min(ladder, key=lambda one: one.right)
    if best.wrong > worst.right + 1e-9:
        longer = "longer" if best.words > worst.words else "shorter"
        text = (
            f"being {longer} pays more than being right: a wrong answer of about {best.words} words earns "
            f"{best.wrong:.3g}, a right one of {worst.words} {worst.right:.3g}"
        )
        yield Remark("open", text)


def _least(measured: Sequence[Measured]) -> Measured | None:
    """The one with the shortest name: the fewest parts."""
    return min(measured, key=lambda found: len(found.genome.name), default=None)
