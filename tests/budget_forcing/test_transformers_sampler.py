"""Budgets in `generate`: a batch of left-padded prompts, each with its own budget, or none."""

from pathlib import Path
from typing import Any

import pytest
import torch

from budget_forcing.budget import Budget, resolve
from budget_forcing.budget_state import BudgetState
from budget_forcing.rounds import Ask, in_rounds
from budget_forcing.tokens import TokenBudget, encode, think_tokens
from budget_forcing.transformers_sampler import BatchRow, BudgetLogitsProcessor, Sampler
from configs.schema.sections import SamplingConfig
from data.think_format import S1
from tests.host_waits import HostWaits
from tests.tiny import tiny_model

CONTEXT = 400
SAMPLINGS = [SamplingConfig(temperature=0.0), SamplingConfig(), SamplingConfig(temperature=0.7, top_p=0.9, top_k=40)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder: Path = tiny_model(tmp_path_factory.mktemp("tiny"))
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def token_budget(budget: Budget, tokenizer: Any, prompt: str) -> TokenBudget:
    return resolve(budget, think_tokens(S1, tokenizer), tokenizer, len(encode(tokenizer, prompt)), CONTEXT)


PROMPTS = ["one", "a longer prompt than that", "x"]
BUDGETS = [
    Budget(max_thinking=12, num_waits=2, max_answer=6, final_answer_text="So"),
    Budget(max_thinking=30, min_thinking=9, num_waits=1, max_answer=4),
    Budget(max_thinking=9, num_waits=3, wait_text="", max_answer=3),
]


def generate(model: Any, tokenizer: Any, rows: list[BatchRow], prompts: list[str], steps: int) -> torch.Tensor:
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    out: torch.Tensor = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        logits_processor=[BudgetLogitsProcessor(rows)],
        do_sample=False,
        max_new_tokens=steps,
    )
    return out[:, batch["input_ids"].shape[1] :]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_generate_matches_rounds(tiny: tuple[Any, Any], sampling: SamplingConfig) -> None:
    model, tokenizer = tiny
    budgets = [token_budget(b, tokenizer, p) for b, p in zip(BUDGETS, PROMPTS, strict=True)]
    rows = [BatchRow(sampling, seed, frozenset({2}), BudgetState(b)) for seed, b in enumerate(budgets)]
    ids = generate(model, tokenizer, rows, PROMPTS, max(b.max_tokens for b in budgets))

    def complete(asks: Any) -> list[tuple[list[int], list[float]]]:
        return [_completed(model, tokenizer, ask, sampling) for ask in asks]

    for row, written, rounds in zip(rows, ids.tolist(), in_rounds(budgets, complete, tokenizer), strict=True):
        assert row.state is not None
        assert written[: len(row.tokens)] == row.tokens
        kept = len(row.tokens) - row.state.forced[len(row.tokens) - 1]
        assert row.tokens[:kept] == rounds.tokens
        assert row.state.forced[:kept] == rounds.forced
        assert (row.state.thought, row.state.reason) == (rounds.thought, rounds.reason)
        assert row.logprobs[:kept] == pytest.approx(rounds.logprobs, abs=1e-4)


def _completed(model: Any, tokenizer: Any, ask: Ask, sampling: SamplingConfig) -> tuple[list[int], list[float]]:
    """One round by plain generation, alone in its batch."""
    row = BatchRow(sampling, ask.sequence, frozenset(ask.ends), start=len(ask.tokens), refuse=ask.refuse)
    ids = torch.tensor([[*encode(tokenizer, PROMPTS[ask.sequence]), *ask.tokens]])
    while not row.done and len(row.tokens) < ask.max_tokens:
        processor = BudgetLogitsProcessor([row])
        with torch.inference_mode():
            scores = processor(ids, model(ids).logits[:, -1])
        ids = torch.cat([ids, scores.argmax(1, keepdim=True)], 1)
    return row.tokens, row.logprobs


@pytest.mark.parametrize(
    ("sampling", "redrawn"),
    [  # each token that may be redrawn, and the mass of what is kept where it is
        (SamplingConfig(), {1: 1.0, 2: 1.0, 3: 1.0}),
        (SamplingConfig(top_k=2), {1: 0.8, 2: 0.95}),
        (SamplingConfig(top_k=1), {1: 0.8}),
    ],
    ids=["all", "top-k 2", "top-k 1"],
)
def test_redrawn_token_has_the_policys_logprob(sampling: SamplingConfig, redrawn: dict[int, float]) -> None:
    policy = torch.tensor([0.55, 0.25, 0.15, 0.05])
    end = 0
    budget = TokenBudget(ends=(end,), end=(end,), eos=(end,), limit=9, min_thinking=9, max_answer=1)
    rows = [BatchRow.of(sampling, seed, (end,), budget) for seed in range(60)]
    Sampler(rows).step(policy.log().expand(len(rows), -1).clone())
    refused = [row for row in rows if row.state is not None and row.state.waits]
    assert {row.tokens[0] for row in refused} == set(redrawn)
    for row in refused:
        token = row.tokens[0]
        assert row.logprobs[0] == pytest.approx((policy[token] / redrawn[token]).log().item(), abs=1e-5)


def test_waits_are_per_step_not_per_refused_row() -> None:
    budget = TokenBudget(ends=(0, 1), end=(0,), eos=(0,), limit=9, min_thinking=9, max_answer=1)
    counts = []
    for count in (2, 8):
        rows = [BatchRow.of(SamplingConfig(), seed, (0,), budget) for seed in range(count)]
        logits = torch.tensor([9.0, 9.0, -9.0, -9.0]).repeat(count, 1)
        with HostWaits() as host:
            tokens = Sampler(rows).step(logits)
        assert set(tokens) <= {2, 3}  # every row was refused its end
        counts.append((host.waits, host.made))
    assert counts[0] == counts[1]


def test_budgeted_and_plain_rows_share_a_batch(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    budget = token_budget(BUDGETS[0], tokenizer, PROMPTS[0])

    def rows() -> list[BatchRow]:
        forced = BatchRow(SamplingConfig(), 5, frozenset({2}), BudgetState(budget))
        return [
            forced,
            BatchRow(SamplingConfig(), 6, frozenset({2})),
            BatchRow(SamplingConfig(temperature=0.0), 7, frozenset({2})),
        ]

    together = rows()
    generate(model, tokenizer, together, PROMPTS, budget.max_tokens)
    for at, row in enumerate(rows()):
        generate(model, tokenizer, [row], PROMPTS[at : at + 1], budget.max_tokens)
        assert row.tokens == together[at].tokens
    assert together[1].outcome().forced == [False] * len(together[1].tokens)


def test_sampling_of_generate_changes_nothing(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    budget = token_budget(BUDGETS[0], tokenizer, PROMPTS[0])
    rows = [BatchRow(SamplingConfig(), 5, frozenset({2}), BudgetState(budget)) for _ in range(2)]
    generate(model, tokenizer, rows[:1], PROMPTS[:1], budget.max_tokens)
    ids = torch.tensor([encode(tokenizer, PROMPTS[0])])
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        logits_processor=[BudgetLogitsProcessor(rows[1:])],
        do_sample=True,
        top_k=1,
        max_new_tokens=budget.max_tokens,
    )
    assert rows[0].tokens == rows[1].tokens


def test_repetition_penalty_is_transformers_own(tiny: tuple[Any, Any]) -> None:
    """Of a row with a penalty, beside one without: greedy tokens as `generate` has them with each setting."""
    model, tokenizer = tiny
    prompts = [encode(tokenizer, text) for text in ("one one two", "one one two")]
    for penalty in (1.4, 0.8):
        samplings = [SamplingConfig(temperature=0.0, repetition_penalty=penalty), SamplingConfig(temperature=0.0)]
        rows = [BatchRow(s, 0, frozenset(), prompt=p) for s, p in zip(samplings, prompts, strict=True)]
        sampler, ids = Sampler(rows), torch.tensor(prompts)
        for _ in range(24):
            with torch.no_grad():
                logits = model(ids).logits[:, -1]
            ids = torch.cat([ids, torch.tensor(sampler.step(logits))[:, None]], 1)
        for row, prompt in zip(rows, prompts, strict=True):
            expected = model.generate(
                torch.tensor([prompt]), do_sample=False, max_new_tokens=24, eos_token_id=None, pad_token_id=0,
                repetition_penalty=row.sampling.repetition_penalty,
            )  # fmt: skip
            assert row.tokens == expected[0, len(prompt) :].tolist()
        assert rows[0].tokens != rows[1].tokens
