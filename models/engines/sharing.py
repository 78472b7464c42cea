"""Sequences of one prompt and one seed under several budgets: what they have in common is decoded once.

A sweep over budgets is one thinking that is ended, or made to go on, at different places. Draws depend on (seed,
position) alone, so each sequence has the very tokens that it would have by itself (`budget_forcing.replay`).

    the longest budget ──────────────┬───────────────┬──────────▶ its answer
                                     └─▶ an answer   └─▶ an answer
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from budget_forcing.budget_state import Outcome
from budget_forcing.replay import replay
from models.engines.early import StoppedEarly
from models.engines.job import Branch, Decoded, Job


def decode_shared(
    decode: Callable[[Sequence[Job], Branch], None],
    jobs: Sequence[Job],
    decoded: Decoded,
    text_of: Callable[[Sequence[int]], str],
) -> None:
    """`decode`, with every token that several of the `jobs` have in common decoded once, and some stopped early.

    `text_of`: the text of ids, by which a rule compares answers.
    """
    owners: list[tuple[_Family | StoppedEarly, int]] = []  # by the number that `decode` knows a job by

    def ready(family: "_Family | StoppedEarly") -> Iterable[Job]:
        for at, job in family.ready().items():
            owners.append((family, at))
            yield job

    def branch(number: int, outcome: Outcome) -> list[Job]:
        family, at = owners[number]
        for done, its in family.take(at, outcome).items():
            decoded(done, its)
        return list(ready(family))

    families = [
        StoppedEarly(places[0], jobs[places[0]], text_of)
        if jobs[places[0]].stop_when
        else _Family({at: jobs[at] for at in places})
        for places in families_of(jobs)
    ]
    decode([job for family in families for job in ready(family)], branch)


def families_of(jobs: Sequence[Job]) -> list[list[int]]:
    """Places of jobs that have their first tokens in common, in the order of each family's first."""
    families: dict[object, list[int]] = defaultdict(list)
    for at, job in enumerate(jobs):
        begun_or_stopped = job.begun is not None or bool(job.stop) or job.stop_when is not None
        alone = job.budget is None or bool(job.budget.texts) or begun_or_stopped
        families[at if alone else replace(job, request=0, sample=0, budget=None)].append(at)
    return list(families.values())


class _Family:
    """Jobs that differ in their budgets alone."""

    def __init__(self, jobs: dict[int, Job]) -> None:
        self.waiting = jobs
        self.decoding: dict[int, Job] = {}

    def ready(self) -> dict[int, Job]:
        """Jobs to start now, by their places.

        Of those that still think, the longest alone, for the others may have more in common with it; of those whose
        answers start after the same tokens, the one with the longest answer.
        """
        started = {_start(job) for job in self.decoding.values()}
        ready: dict[tuple[int, ...] | None, int] = {}
        for at, job in self.waiting.items():
            start = _start(job)
            if start not in started and (start not in ready or _reach(job) > _reach(self.waiting[ready[start]])):
                ready[start] = at
        jobs = {at: self.waiting.pop(at) for at in ready.values()}
        self.decoding |= jobs
        return jobs

    def take(self, at: int, outcome: Outcome) -> dict[int, Outcome]:
        """`outcome` is what became of job `at`; what became of all jobs that are known whole by it."""
        job = self.decoding.pop(at)
        outcome.shared = job.begun.shared if job.begun else 0
        whole = {at: outcome}
        for other, waiting in self.waiting.items():
            assert waiting.budget is not None
            begun, is_whole = replay(waiting.budget, outcome)
            if is_whole or len(begun.tokens) >= waiting.max_tokens:
                whole[other] = begun.cut(waiting.max_tokens)
            elif waiting.begun is None or begun.shared > waiting.begun.shared:
                self.waiting[other] = replace(waiting, begun=begun)
        for other in whole.keys() & self.waiting.keys():
            del self.waiting[other]
        return whole


def _start(job: Job) -> tuple[int, ...] | None:
    """The tokens after which its answer starts; None while it thinks."""
    return None if job.begun is None or job.begun.answer_at is None else tuple(job.begun.tokens)


def _reach(job: Job) -> tuple[int, ...]:
    """How far it goes: the longest thinking first, of answers the longest."""
    assert job.budget is not None
    budget = job.budget
    return (budget.max_answer,) if _start(job) else (budget.limit, budget.num_waits, budget.max_answer)
