"""A sweep over budgets on an engine: each generation is what its own request gives; thinking is decoded once."""

from dataclasses import replace

from budget_forcing.budget import Budget, StopRule
from configs.schema.sections import SamplingConfig
from models.engines.base import Engine, Request

LIMITS = [
    Budget(max_thinking=limit, num_waits=waits, final_answer_text=final, max_answer=answer)
    for limit in (0, 5, 14, 40)
    for waits in (0, 2)
    for final, answer in (("", 6), ("So ", 3))
]
OTHERS = [
    Budget(max_thinking=20, num_waits=1, wait_text="", max_answer=6),
    Budget(max_thinking=20, min_thinking=12, max_answer=6),
    Budget(max_answer=6),
]


def check_sweep(engine: Engine, sampling: SamplingConfig, logprobs: bool = True) -> None:
    """Every budget of two questions at once, and each by itself."""
    requests = [
        Request([{"role": "user", "content": "q" * n}], sampling, seed=n, budget=budget, logprobs=logprobs)
        for budget in LIMITS + OTHERS
        for n in (2, 30)
    ]
    together = engine.generate(requests)
    for one, request in zip(together, requests, strict=True):
        [own] = engine.generate([request])
        assert one.token_ids == own.token_ids, request.budget
        assert (one.forced, one.stop, one.finish, one.thinking_tokens) == (
            own.forced,
            own.stop,
            own.finish,
            own.thinking_tokens,
        )
        assert all(abs(a - b) < 1e-4 for a, b in zip(one.logprobs, own.logprobs, strict=True)), request.budget
        assert own.shared == 0
    decoded = sum(len(one.token_ids) - one.shared for one in together)
    assert decoded < 0.6 * sum(len(one.token_ids) for one in together)


def check_early_stop(engine: Engine, sampling: SamplingConfig) -> None:
    """Thinking is stopped where probes of its own agree, and is what it would have been where they do not."""
    never = StopRule(7, agree=9, max_answer=2)
    plain = Budget(max_thinking=40, num_waits=1, max_answer=6)
    questions = [[{"role": "user", "content": "q" * n}] for n in (2, 30, 9, 14)]
    own = engine.generate([Request(its, sampling, seed=at, budget=plain) for at, its in enumerate(questions)])

    # 1. a rule that never holds changes nothing, and says what its probes took
    budget = replace(plain, stop_when=never)
    unmoved = engine.generate([Request(its, sampling, seed=at, budget=budget) for at, its in enumerate(questions)])
    for one, other in zip(unmoved, own, strict=True):
        assert (one.token_ids, one.forced, one.stop, one.finish) == (
            other.token_ids,
            other.forced,
            other.stop,
            other.finish,
        )
        assert (one.probe_tokens > 0) == (one.thinking_tokens > 7)
        assert other.probe_tokens == 0

    # 2. a rule that holds stops at its probe: the answer is the one that a limit there gives; a stricter one, later
    stopped = late = 0
    for at, its in enumerate(questions):
        least = 0.001
        for _ in range(6):
            rule = StopRule(5, confidence=least, final_answer_text="So ", max_answer=3)
            [one] = engine.generate([Request(its, sampling, seed=at, budget=replace(plain, stop_when=rule))])
            if not str(one.stop).startswith("confident"):
                assert one.token_ids == own[at].token_ids
                break
            limits = range(5, one.thinking_tokens + 5, 5)  # it may end for want of room for "Wait" before the probe
            limited = [
                replace(
                    plain,
                    max_thinking=limit,
                    final_answer_text=rule.final_answer_text,
                    max_answer=plain.max_answer if limit == limits[-1] else rule.max_answer,
                )
                for limit in limits
            ]
            probes = engine.generate([Request(its, sampling, seed=at, budget=budget) for budget in limited])
            assert one.token_ids == probes[-1].token_ids
            assert one.probe_tokens == sum(probe.answer_tokens for probe in probes[:-1])
            stopped, late = stopped + 1, late + (len(limits) > 1)
            least = float(str(one.stop).partition(":")[2]) + 0.01
    assert stopped > late > 0
