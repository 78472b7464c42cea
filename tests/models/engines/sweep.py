"""A sweep over budgets on an engine: each generation is what its own request gives; thinking is decoded once."""

from budget_forcing.budget import Budget
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
        assert all(abs(a - b) < 1e-4 for a, b in zip(one.logprobs, own.logprobs, strict=True))
        assert own.shared == 0
    decoded = sum(len(one.token_ids) - one.shared for one in together)
    assert decoded < 0.6 * sum(len(one.token_ids) for one in together)
