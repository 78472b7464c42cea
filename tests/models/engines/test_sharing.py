"""Families of jobs: each has what it would have by itself, and no token is decoded twice."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budget_forcing.budget import StopRule
from budget_forcing.budget_state import Outcome
from budget_forcing.tokens import TokenBudget
from configs.schema.sections import SamplingConfig
from models.engines.job import Branch, Early, Job
from models.engines.sharing import decode_shared, families_of
from tests.budget_forcing.policies import Policy, by_state, scripted
from tests.budget_forcing.test_budget_state import EOS, WAIT, budgets

PLAIN = SamplingConfig()


def job_of(budget: TokenBudget | None, seed: int = 1, request: int = 0) -> Job:
    return Job(request, 0, (1, 2), PLAIN, seed, 100, (EOS,), budget)


def decoder(policy: Policy, started: list[Job]) -> Callable[[Sequence[Job], Branch], None]:
    """An engine of scripted policies, which notes the jobs that it is asked for."""

    def decode(jobs: Sequence[Job], branch: Branch) -> None:
        known = list(jobs)
        for number, job in enumerate(known):  # grows
            assert job.budget is not None
            started.append(job)
            known += branch(number, by_state(job.budget, policy, job.begun)[0])

    return decode


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(budgets, min_size=1, max_size=6), st.integers(0, 10**6), st.integers(6, 10))
def test_each_job_has_what_it_would_have_by_itself(them: list[TokenBudget], seed: int, vocabulary: int) -> None:
    them = [replace(budget, ends=them[0].ends) for budget in them]
    policy = scripted(seed, vocabulary)
    found: dict[int, Outcome] = {}
    decode_shared(decoder(policy, []), [job_of(budget) for budget in them], found.__setitem__, str)
    own = [by_state(budget, policy)[0] for budget in them]
    assert [replace(found[at], shared=0, logprobs=[]) for at in range(len(them))] == [
        replace(one, logprobs=[]) for one in own
    ]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(*[st.integers(0, n) for n in (12, 3, 3)]), min_size=1, max_size=8), st.integers(0, 10**6))
def test_no_token_is_decoded_twice(fields: list[tuple[int, int, int]], seed: int) -> None:
    # what is forced after an end is never drawn, or two texts could be one that was drawn in two ways
    base = TokenBudget((3, EOS), (3,), (EOS,), 0, wait=(10,), final=(11, 12))
    them = [replace(base, limit=limit, num_waits=waits, max_answer=answer + 1) for limit, waits, answer in fields]
    policy = scripted(seed, 9)
    found: dict[int, Outcome] = {}
    decode_shared(decoder(policy, []), [job_of(budget) for budget in them], found.__setitem__, str)
    texts = {
        tuple(its.tokens[: at + 1]) for its in found.values() for at, forced in enumerate(its.forced) if not forced
    }
    drawn = sum(not forced for its in found.values() for forced in its.forced[its.shared :])
    assert drawn == len(texts)


def test_a_natural_end_before_two_limits_is_one_branch() -> None:
    started: list[Job] = []
    budget = TokenBudget((3, EOS), (3,), (EOS,), 100, max_answer=2)

    def ends_after_five(tokens: Sequence[int], refused: frozenset[int]) -> int:
        return 3 if len(tokens) == 5 else 2

    them = [replace(budget, limit=limit) for limit in (3, 100, 50, 10, 4)]
    found: dict[int, Outcome] = {}
    decode_shared(decoder(ends_after_five, started), [job_of(its) for its in them], found.__setitem__, str)
    assert [job.budget.limit for job in started if job.budget] == [100, 3, 4]
    assert [found[at].reason for at in range(5)] == ["limit", "natural", "natural", "natural", "limit"]
    assert [found[at].shared for at in range(5)] == [3, 0, 9, 9, 4]


@pytest.mark.parametrize(("agree", "reason", "thought", "probed"), [(9, "limit", 40, 3), (2, "agreed:2", 20, 1)])
def test_probe_before_which_wait_has_no_room(agree: int, reason: str, thought: int, probed: int) -> None:
    """An end of thinking is drawn two tokens before a probe, and "Wait" takes three: it thinks on, and is probed."""

    def ends_early(tokens: Sequence[int], refused: frozenset[int]) -> int:
        return 3 if len(tokens) == 8 else 2

    budget = TokenBudget((3, EOS), (3,), (EOS,), 40, num_waits=1, wait=(WAIT, WAIT, WAIT), max_answer=2)
    early = Early(StopRule(10, agree=agree, max_answer=1), ())
    found: dict[int, Outcome] = {}
    job = replace(job_of(budget), stop_when=early)
    decode_shared(decoder(ends_early, []), [job], found.__setitem__, str)
    assert (found[0].reason, found[0].thought, found[0].probed) == (reason, thought, probed)


def test_only_what_has_the_same_draws_is_a_family() -> None:
    budget = TokenBudget((3, EOS), (3,), (EOS,), 9)
    same = [job_of(budget, request=at) for at in range(2)] + [job_of(replace(budget, limit=4), request=2)]
    others = [
        job_of(budget, seed=2),
        job_of(None),
        job_of(None),
        replace(same[0], prompt=(1, 3)),
        replace(same[0], sampling=SamplingConfig(top_p=0.5)),
        replace(same[0], adapter="adapter"),
        replace(same[0], stop=("\n",)),
        replace(same[0], stop=("\n",)),
    ]
    assert families_of([*same, *others]) == [[0, 1, 2], *[[at] for at in range(3, 11)]]
