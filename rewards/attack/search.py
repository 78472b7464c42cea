"""The search for completions that pay: the catalogue, then an evolution of its best, for the total and for each reward.

Seeded: the same seed finds the same, unless the time runs out first.
"""

import heapq
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from rewards.attack.genome import Genome, catalogue, crossed, mutated
from rewards.attack.measure import Bench, Measured

ROUNDS, CHILDREN, PARENTS = 12, 32, 10
_KEPT = 0.9  # of its gain a hack keeps without the parts that are left out of it

Show = Callable[[int, str], None]
"""(how many hacks were tried, what is known so far)."""


def search(bench: Bench, seed: int, until: float, show: Show = lambda tried, note: None) -> Iterator[Measured]:
    """The catalogue's hacks, and the best combinations for each objective, simplified; till `until` (monotonic time).

    Yields each measured hack that the findings are made of, catalogue first.
    """
    objectives = [None, *bench.names]
    # 1. every known hack by itself
    for genome in catalogue():
        if time.monotonic() > until:
            break
        if found := bench.measure(genome):
            yield found
            show(len(bench.measured), _note(bench))
    # 2. combinations: each objective evolves its own
    for objective in objectives:
        evolve(bench, objective, random.Random(f"{seed} {objective}"), until, show)
    # 3. the best of each, without the parts that earn nothing
    for objective in objectives:
        if best := next(iter(_best(bench, objective, 1)), None):
            yield simplified(bench, best, objective)


def evolve(bench: Bench, objective: str | None, generator: random.Random, until: float, show: Show) -> None:
    """Mutate and cross the best hacks so far, round by round, until nothing better came three times."""
    best, idle = float("-inf"), 0
    for _ in range(ROUNDS):
        parents = [found.genome for found in _best(bench, objective, PARENTS)]
        if not parents or time.monotonic() > until or idle == 3:
            return
        for _ in range(CHILDREN):
            if generator.random() < 0.5:
                child = mutated(generator.choice(parents), generator)
            else:
                child = crossed(generator.choice(parents), generator.choice(parents), generator)
            bench.measure(child)
        show(len(bench.measured), _note(bench))
        now = _best(bench, objective, 1)[0].objective(objective)
        best, idle = (now, 0) if now > best + 1e-9 else (best, idle + 1)


def simplified(bench: Bench, found: Measured, objective: str | None) -> Measured:
    """The same hack without the parts that it does not need for nearly all of its gain."""
    less: list[Callable[[Genome], Genome]] = [
        *(partial(Genome.without, part=part) for part in ("extra", "layout", "thinking", "answer")),
        *(partial(replace, times=times) for times in (10, 1)),
    ]
    for change in less:
        genome = change(found.genome)
        simpler = bench.measure(genome) if genome != found.genome else None
        if simpler and simpler.objective(objective) >= _KEPT * found.objective(objective) > 0:
            found = simpler
    return found


def _best(bench: Bench, objective: str | None, count: int) -> list[Measured]:
    known = (found for found in bench.measured.values() if found is not None)
    return heapq.nlargest(count, known, key=lambda found: found.objective(objective))


def _note(bench: Bench) -> str:
    best = _best(bench, None, 1)
    return f"best {max(0.0, best[0].share):.0%} of the gap" if best else ""
