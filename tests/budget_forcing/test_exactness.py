"""In-engine budgets write every text exactly as often as stopping, appending "Wait" and prompting again."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from budget_forcing.budget_state import BudgetState
from budget_forcing.end_decision import Choice, Policies, choose
from budget_forcing.sampling import Truncation, draw_tokens, uniform
from budget_forcing.tokens import TokenBudget
from budget_forcing.transformers_sampler import BatchRow, Sampler
from configs.schema.sections import SamplingConfig
from tests.budget_forcing.toy import (
    BUDGETS,
    EOS,
    OPEN,
    SAMPLINGS,
    VOCABULARY,
    Text,
    exact_distribution,
    logits_of,
    logprob_of,
    p_value,
)

pytestmark = pytest.mark.engine

SAMPLES = 2_500
CASES = [(BUDGETS[0], SAMPLINGS[at]) for at in (0, 2, 3, 5)] + [
    (b, SAMPLINGS[at]) for b in BUDGETS[1:] for at in (0, 5)
]


def sampled(budget: TokenBudget, sampling: SamplingConfig, count: int) -> list[Text]:
    """Texts from the Transformers sampler."""
    rows = [BatchRow(sampling, seed, frozenset({EOS}), BudgetState(budget)) for seed in range(count)]
    sampler = Sampler(rows)
    while not all(row.done for row in rows):
        sampler.step(logits_of([row.tokens for row in rows]))
    return [_without_forced_eos(row.tokens, row.state) for row in rows]


def ended_ahead(
    budget: TokenBudget, sampling: SamplingConfig, count: int, choose: Callable[..., Choice] = choose
) -> list[Text]:
    """Texts from an engine's own sampler, with ends of thinking drawn ahead of it (the vLLM way)."""
    truncation = Truncation.of([sampling] * count)
    states = [BudgetState(budget) for _ in range(count)]
    texts: list[list[int]] = [[] for _ in range(count)]
    done = [False] * count
    generator = torch.Generator().manual_seed(3)

    def truncate(logits: torch.Tensor, *settings: torch.Tensor) -> torch.Tensor:
        own = Truncation.of([sampling] * len(logits))
        return logits if own is None else own(logits)

    for position in range(budget.max_tokens + 1):
        logits = logits_of(texts)
        thinking = [at for at, state in enumerate(states) if state.thinking]
        if thinking:
            index = torch.tensor(thinking)
            policies = Policies.of(
                [budget.ends] * len(index), [sampling] * len(index), [False] * len(index), VOCABULARY
            )
            choice = choose(
                logits, index, policies, torch.from_numpy(uniform(thinking, [position] * len(thinking))), truncate
            )
            for at, end, token, mask in zip(
                thinking, choice.end.tolist(), choice.token.tolist(), choice.mask.tolist(), strict=True
            ):
                due = states[at].end(end) if end >= 0 else None
                if mask or states[at].refused:
                    logits[at, list(budget.ends)] = -torch.inf
                if due is None and token >= 0:
                    logits[at] = -torch.inf
                    logits[at, token] = 0.0
        for at, state in enumerate(states):
            if state.due is not None:
                logits[at] = -torch.inf
                logits[at, state.due] = 0.0
        logits = logits / sampling.temperature
        if truncation is not None:
            logits = truncation(logits)
        tokens = draw_tokens(logits, torch.rand(count, generator=generator, dtype=torch.float64))[0].tolist()
        for at, token in enumerate(tokens):
            if not done[at]:
                texts[at].append(token)
                done[at] = token == EOS and states[at].answering
                states[at].advance()
    assert all(done)
    return [_without_forced_eos(text, state) for text, state in zip(texts, states, strict=True)]


def _without_forced_eos(tokens: Sequence[int], state: BudgetState | None) -> Text:
    assert state is not None
    return tuple(tokens[:-1] if state.forced[len(tokens) - 1] else tokens)


@pytest.mark.parametrize("decode", [sampled, ended_ahead])
@pytest.mark.parametrize(("budget", "sampling"), CASES)
def test_texts_are_as_frequent_as_with_rounds(
    decode: Callable[[TokenBudget, SamplingConfig, int], list[Text]], sampling: SamplingConfig, budget: TokenBudget
) -> None:
    assert p_value(exact_distribution(budget, sampling), decode(budget, sampling, SAMPLES)) > 1e-4


def test_masking_ends_before_truncation_is_detected() -> None:
    def shortcut(*args: Any) -> Choice:
        choice = choose(*args)
        choice.mask.logical_or_(choice.token >= 0)
        choice.token.fill_(-1)
        return choice

    budget, sampling = BUDGETS[0], SamplingConfig(top_p=0.8)
    assert p_value(exact_distribution(budget, sampling), ended_ahead(budget, sampling, SAMPLES, shortcut)) < 1e-6


def test_greedy_is_the_low_temperature_limit() -> None:
    budget = BUDGETS[0]
    greedy = set(sampled(budget, SamplingConfig(temperature=0.0), 50))
    assert len(greedy) == 1
    assert set(ended_ahead(budget, SamplingConfig(temperature=1e-4), 50)) == greedy
    assert set(sampled(budget, SamplingConfig(temperature=1e-4), 50)) == greedy


@pytest.mark.parametrize("budget", BUDGETS, ids=["wait", "longer wait", "refused"])
@pytest.mark.parametrize("sampling", [*SAMPLINGS, SamplingConfig(temperature=0.0)], ids=str)
def test_logprobs_match_policy_and_forced_are_zero(budget: TokenBudget, sampling: SamplingConfig) -> None:
    rows = [BatchRow(sampling, seed, frozenset({EOS}), BudgetState(budget)) for seed in range(200)]
    sampler = Sampler(rows)
    while not all(row.done for row in rows):
        sampler.step(logits_of([row.tokens for row in rows]))
    ends = refusals = 0
    for row in rows:
        assert row.state is not None
        for at, (token, logprob) in enumerate(zip(row.tokens, row.logprobs, strict=True)):
            if row.state.forced[at]:
                drawn = row.state.drawn_ends.get(at)  # an end that another budget may let stand
                logits = logits_of([row.tokens[:at]])[0]
                expected = 0.0 if drawn is None else logprob_of(logits, sampling, drawn)
                assert logprob == pytest.approx(expected, abs=1e-5)
                continue
            was_refused = at in row.state.drawn_ends and token not in budget.ends
            logits = logits_of([row.tokens[:at]])[0]
            expected = logprob_of(logits, sampling, token)
            assert logprob == pytest.approx(expected, abs=1e-5)
            ends += token == OPEN and at < (row.state.answer_at or 0)
            refusals += was_refused
    if sampling.temperature > 0:
        assert ends > 0 or budget != BUDGETS[0]  # natural ends are the policy's own tokens
        assert (refusals > 0) == (not budget.wait)


def test_logprob_is_finite_when_only_ends_are_left() -> None:
    budget, sampling = BUDGETS[2], SamplingConfig(top_k=1)
    row = BatchRow(sampling, 0, frozenset({EOS}), BudgetState(budget))
    Sampler([row]).step(torch.tensor([[0.0, 9.0, 1.0, 3.0, 1.0, 1.0]]))
    assert row.tokens == [3]
    assert row.logprobs == pytest.approx([3.0 - math.log(math.exp(9.0) + math.exp(3.0))], abs=1e-5)


def test_choice_logprob_accounts_for_masking() -> None:
    torch.manual_seed(0)
    logits = torch.randn(500, 9)
    policies = Policies.of([(1, 4)] * 500, [SamplingConfig(temperature=0.7)] * 500, [True] * 500, 9)
    numbers = torch.from_numpy(uniform(np.arange(500), np.zeros(500)))
    choice = choose(logits, torch.arange(500), policies, numbers, lambda logits, *_: logits)
    logprobs = (logits / 0.7).log_softmax(1)
    masked = (logits / 0.7).index_fill(1, torch.tensor([1, 4]), -torch.inf).log_softmax(1)
    rest = choice.mask
    assert 50 < rest.sum() < 450
    assert torch.allclose(masked[:, 0] + choice.none, logprobs[:, 0], atol=1e-5)
    drawn = choice.end >= 0
    assert bool((drawn ^ rest).all())
    expected = logprobs.gather(1, choice.end.clamp(min=0)[:, None])[:, 0]
    assert torch.allclose(choice.logprob[drawn], expected[drawn], atol=1e-5)
