"""The vLLM processor in vLLM's own batch and sampler, through all that a scheduler does to a request."""

import random
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budget_forcing.budget_state import BudgetState
from budget_forcing.sampling import mix
from budget_forcing.tokens import TokenBudget
from configs.schema.sections import SamplingConfig
from tests.budget_forcing.policies import by_state
from tests.budget_forcing.test_budget_state import budgets
from tests.budget_forcing.toy import (
    BUDGETS,
    EOS,
    OPEN,
    OTHER,
    SAMPLINGS,
    VOCABULARY,
    Text,
    exact_distribution,
    logits_of,
    logprob_of,
    p_value,
)
from tests.host_waits import HostWaits

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
GREEDY = SamplingConfig(temperature=0.0)


@pytest.fixture(scope="module", autouse=True)
def vllm() -> Any:
    return pytest.importorskip("vllm")


@cache
def table(name: str) -> torch.Tensor:
    return torch.randn(200, VOCABULARY, generator=torch.Generator().manual_seed(1000 + int(name)))


def own_logits(name: str, tokens: Sequence[int]) -> torch.Tensor:
    """Logits that differ by request and depend on the length and the last token."""
    return table(name)[(7 * len(tokens) + (tokens[-1] if tokens else 6)) % 200].clone()


def greedy_text(name: str, budget: TokenBudget) -> list[int]:
    def policy(tokens: Sequence[int], refused: frozenset[int]) -> int:
        logits = own_logits(name, tokens)
        logits[list(refused)] = -torch.inf
        return int(logits.argmax())

    return by_state(budget, policy)[0].tokens


@pytest.mark.parametrize("stale", [False, True], ids=["ids known", "ids read -1"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(budgets, min_size=1, max_size=5), st.integers(0, 10**6))
def test_greedy_texts_survive_the_scheduler(stale: bool, many: list[TokenBudget], seed: int) -> None:
    from tests.budget_forcing.vllm_batch import Runner, params_of

    dice = random.Random(seed)
    runner = Runner(own_logits, VOCABULARY, 2 * len(many), stale=stale)
    expected = {str(at): greedy_text(str(at), budget) for at, budget in enumerate(many)}
    waiting = {name: many[int(name)] for name in expected}
    running: set[str] = set()
    preempted: set[str] = set()
    while waiting or running or preempted:
        for name in list(preempted):
            if dice.random() < 0.5:
                preempted.remove(name)
                running.add(name)
                runner.resume(name, drop=stale and len(runner.texts[name]) > 0 and dice.random() < 0.3)
        for name in list(waiting):
            if dice.random() < 0.5:
                runner.add(name, params_of(waiting.pop(name), GREEDY, None))
                running.add(name)
        if len(running) > 1 and dice.random() < 0.2:
            runner.batch.condense()
            runner.batch.swap_states(0, 1)
        runner.step(discard={name for name in running if dice.random() < 0.25})
        for name in list(running):
            if len(runner.texts[name]) >= len(expected[name]):
                running.remove(name)
                runner.leave(name)
            elif dice.random() < 0.15:
                running.remove(name)
                preempted.add(name)
                runner.leave(name)
    assert runner.texts == expected


@pytest.mark.parametrize("draws", [False, True], ids=["ends drawn", "all drawn"])
@pytest.mark.parametrize(
    ("budget", "sampling"),
    [(BUDGETS[0], s) for s in SAMPLINGS] + [(b, SAMPLINGS[at]) for b in BUDGETS[1:] for at in (0, 5)],
)
def test_texts_are_as_frequent_as_with_rounds(budget: TokenBudget, sampling: SamplingConfig, draws: bool) -> None:
    from tests.budget_forcing.vllm_batch import Runner, params_of

    count = 3000
    runner = Runner(lambda name, tokens: logits_of([tokens])[0], VOCABULARY, count)
    for at in range(count):
        seed = {"budget_seed": mix(at)} if draws else {}
        runner.add(str(at), params_of(budget, sampling, None if draws else at, **seed))
    texts: list[Text] = []
    for _ in range(budget.max_tokens):
        runner.step()
        for name in list(runner.batch.req_ids):
            text = runner.texts[name]
            state = runner.requests[name].sampling_params._budget.state
            if text[-1] == EOS and state.answer_at is not None and len(text) > state.answer_at:
                runner.leave(name)
                length = state.answer_at + len(budget.final) * (state.reason == "limit") + budget.max_answer
                texts.append(tuple(text[:length]))
    assert len(texts) == count
    assert p_value(exact_distribution(budget, sampling), texts) > 1e-4


@pytest.mark.parametrize("draws", [False, True], ids=["ends drawn", "all drawn"])
@pytest.mark.parametrize("budget", BUDGETS, ids=["wait", "longer wait", "refused"])
@pytest.mark.parametrize("sampling", [*SAMPLINGS, GREEDY], ids=str)
def test_corrected_logprobs_match_policy(budget: TokenBudget, sampling: SamplingConfig, draws: bool) -> None:
    from budget_forcing.vllm_worker import budget_outcomes
    from models.engines.vllm_job import outcome_of
    from tests.budget_forcing.vllm_batch import Runner, params_of

    count = 100
    runner = Runner(own_logits, VOCABULARY, count)
    for at in range(count):
        fields: dict[str, Any] = {"budget_nonce": str(at), "budget_logprobs": 1}
        fields |= {"budget_seed": mix(at)} if draws else {}
        runner.add(str(at), params_of(budget, sampling, None if draws else at, **fields))
    for _ in range(budget.max_tokens):
        runner.step()
    worker = SimpleNamespace(model_runner=SimpleNamespace(input_batch=runner.batch))
    told = budget_outcomes(worker, [str(at) for at in range(count)])
    assert budget_outcomes(worker, ["0"]) == [None]  # each can be asked for once
    ends = refusals = 0
    for at in range(count):
        text, name = runner.texts[str(at)], str(at)
        outcome = outcome_of(text, list(runner.logprobs[name]), told[at])
        drawn_ends = runner.requests[name].sampling_params._budget.state.drawn_ends
        assert outcome.answer_at is not None
        for position in range(len(text) if draws else min(outcome.answer_at + 1, len(text))):
            token, logprob = text[position], outcome.logprobs[position]
            if outcome.forced[position]:
                drawn = drawn_ends.get(position)  # an end that another budget may let stand
                logits = own_logits(name, text[:position])
                expected = 0.0 if drawn is None else logprob_of(logits, sampling, drawn)
                assert logprob == pytest.approx(expected, abs=1e-5)
                continue
            was_refused = position in drawn_ends and token not in budget.ends
            logits = own_logits(name, text[:position])
            expected = logprob_of(logits, sampling, token)
            assert logprob == pytest.approx(expected, abs=1e-5)
            ends += token == OPEN and position < outcome.answer_at
            refusals += was_refused
    assert ends > 0 or budget != BUDGETS[0]
    assert (refusals > 0) == (not budget.wait)


def test_outcome_is_cut_to_returned_tokens() -> None:
    from models.engines.vllm_job import outcome_of

    told = {"forced": [False] * 3 + [True], "thought": 3, "answer_at": 4, "reason": "limit", "corrections": {3: 1.0}}
    told["drawn_ends"] = {3: 1}
    cut = outcome_of([7, 7, 7], [-1.0, -1.0, -1.0], told)
    assert (cut.forced, cut.thought, cut.answer_at, cut.reason) == ([False] * 3, 3, None, None)
    assert cut.logprobs == [-1.0] * 3
    whole = outcome_of([7, 7, 7, 1], [-1.0] * 4, told)
    assert (whole.answer_at, whole.reason, whole.logprobs[3]) == (4, "limit", 0.0)


def test_min_p_of_one_draws_the_likeliest_token() -> None:
    from tests.budget_forcing.vllm_batch import Runner, params_of

    runner = Runner(own_logits, VOCABULARY, 10)
    for at in range(10):
        runner.add(str(at), params_of(BUDGETS[0], SamplingConfig(min_p=1.0), at))
    for _ in range(8):
        runner.step()
    for name, text in runner.texts.items():
        expected = greedy_text(name, BUDGETS[0])[:8]
        assert text[: len(expected)] == expected


def test_other_end_of_turn_token_ends_the_thinking() -> None:
    from tests.budget_forcing.vllm_batch import Runner, params_of

    budget = TokenBudget((OPEN,), (OPEN,), (EOS,), limit=9, max_answer=3)
    runner = Runner(lambda name, tokens: torch.tensor([0.0, 0, 0, 0, 9, 0]), VOCABULARY, 1)
    params = params_of(budget, GREEDY, None)
    params.update_from_generation_config({"eos_token_id": [EOS, OTHER]}, EOS)  # the model's file names both
    runner.add("0", params)
    runner.step()
    runner.step()
    assert runner.texts["0"] == [OPEN, OTHER]  # what would have stopped it became the end; the answer begins
    assert params._budget.state.reason == "natural"


def test_plain_requests_are_unchanged() -> None:
    from tests.budget_forcing.vllm_batch import Runner, params_of

    plain, mixed = (Runner(own_logits, VOCABULARY, 8) for _ in range(2))
    for at in range(4):
        for runner in (plain, mixed):
            runner.add(str(at), params_of(None, SAMPLINGS[at], at))
    for at in range(4, 8):
        mixed.add(str(at), params_of(BUDGETS[0], SAMPLINGS[at - 4], at))
    for _ in range(10):
        plain.step()
        mixed.step()
    assert all(plain.texts[name] == mixed.texts[name] for name in plain.texts)
    assert all(plain.logprobs[name] == pytest.approx(mixed.logprobs[name]) for name in plain.texts)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLINGS[0], SAMPLINGS[5]], ids=str)
def test_processor_loaded_twice_works_once(sampling: SamplingConfig) -> None:
    from tests.budget_forcing.vllm_batch import Runner, params_of

    once, twice = (Runner(own_logits, VOCABULARY, 20, processors=n) for n in (1, 2))
    for runner in (once, twice):
        for at in range(20):
            runner.add(str(at), params_of(BUDGETS[1], sampling, at))
        for _ in range(BUDGETS[1].max_tokens):
            runner.step()
    assert once.texts == twice.texts
    assert not twice.processors[1].rows


def test_requests_without_a_seed_differ() -> None:
    from tests.budget_forcing.vllm_batch import Runner, params_of

    runner = Runner(lambda name, tokens: logits_of([tokens])[0], VOCABULARY, 200)
    for at in range(200):
        runner.add(str(at), params_of(BUDGETS[0], SamplingConfig(top_k=3), None))
    runner.batch.refresh_metadata()
    seeds = {tracked.seed for tracked in runner.processors[0].rows.values()}
    assert len(seeds) == 200


def test_long_prompt_shortens_the_thinking() -> None:
    from tests.budget_forcing.vllm_batch import CONTEXT, Runner, params_of

    budget = TokenBudget((EOS,), (OPEN,), (EOS,), limit=50, max_answer=4)
    runner = Runner(lambda name, tokens: torch.tensor([0.0, 0, 0, 9, 0, 0]), VOCABULARY, 1)
    runner.add("0", params_of(budget, GREEDY, None), prompt=[5] * 40)
    for _ in range(CONTEXT - 40):
        runner.step()
    state = runner.requests["0"].sampling_params._budget.state
    assert (state.thought, state.reason) == (CONTEXT - 40 - 1 - 4, "context")
    assert runner.texts["0"][state.answer_at :] == [3] * 4


def test_unknown_token_ids_end_one_request_only() -> None:
    from tests.budget_forcing.vllm_batch import Runner, params_of

    alone, both = (Runner(own_logits, VOCABULARY, 2) for _ in range(2))
    foreign = replace(BUDGETS[0], wait=(VOCABULARY,))
    params = params_of(foreign, GREEDY, None)
    params.update_from_generation_config({}, OTHER)  # the model's own end of the turn
    both.add("1", params)
    for runner in (alone, both):
        runner.add("0", params_of(BUDGETS[0], GREEDY, None))
        for _ in range(5):
            runner.step()
    assert both.texts["1"][0] == OTHER
    assert both.texts["0"] == alone.texts["0"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"presence_penalty": 0.5}, "penalties"),
        ({"frequency_penalty": 0.5}, "penalties"),
        ({"repetition_penalty": 1.1}, "penalties"),
        ({"ignore_eos": True}, "ignore_eos"),
        ({"thinking_token_budget": 9}, "thinking_token_budget"),
        ({"stop_token_ids": [OPEN]}, "stop"),
        ({"max_tokens": 3}, "max_tokens 3"),
        ({"extra_args": {"budget_limit": 4}}, "budget_ends"),
        ({"stop_token_ids": list(range(10, 80))}, "at most 64"),
    ],
)
def test_unsupported_request_is_refused(change: dict[str, Any], word: str) -> None:
    from vllm import SamplingParams

    from budget_forcing.vllm_processor import BudgetProcessor
    from budget_forcing.vllm_request import extra_args

    fields: dict[str, Any] = {"max_tokens": 50, "extra_args": extra_args(BUDGETS[0])}
    BudgetProcessor.validate_params(SamplingParams(**fields))
    with pytest.raises(ValueError, match=word):
        BudgetProcessor.validate_params(SamplingParams(**fields | change))
    unbudgeted = {"extra_args": None} | {key: value for key, value in change.items() if key != "extra_args"}
    BudgetProcessor.validate_params(SamplingParams(**unbudgeted))


def test_structured_output_and_n_samples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    from budget_forcing.vllm_processor import BudgetProcessor
    from budget_forcing.vllm_request import extra_args

    fields: dict[str, Any] = {"max_tokens": 50, "extra_args": extra_args(BUDGETS[0])}
    with pytest.raises(ValueError, match="structured"):
        BudgetProcessor.validate_params(SamplingParams(**fields, structured_outputs=StructuredOutputsParams(regex="a")))
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    with pytest.raises(ValueError, match="n > 1"):
        BudgetProcessor.validate_params(SamplingParams(**fields, n=2))
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    BudgetProcessor.validate_params(SamplingParams(**fields, n=2))


def test_vllm_refuses_speculative_decoding() -> None:
    from vllm.v1.sample.logits_processor import build_logitsprocs

    config: Any = SimpleNamespace(speculative_config=object())
    with pytest.raises(ValueError, match="speculative"):
        build_logitsprocs(config, torch.device("cpu"), False, False, ["budget_forcing.vllm_processor:BudgetProcessor"])


def test_entry_point_loads_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.v1.sample.logits_processor import _load_logitsprocs_plugins

    from budget_forcing.vllm_processor import BudgetProcessor

    assert BudgetProcessor not in _load_logitsprocs_plugins()  # only where the plug-in is installed
    project = tomllib.loads((ROOT / "plugins/vllm/pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = tmp_path / "mull_vllm_plugin-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    lines = [
        f"[{group}]" + "".join(f"\n{k} = {v}" for k, v in its.items()) for group, its in project["entry-points"].items()
    ]
    (installed / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert _load_logitsprocs_plugins() == [BudgetProcessor]


def test_rows_that_change_wait_for_nothing() -> None:
    from budget_forcing.vllm_processor import BudgetProcessor
    from budget_forcing.vllm_tracked import Tracked
    from tests.budget_forcing.vllm_batch import vllm_config

    processor = BudgetProcessor(vllm_config(VOCABULARY, 4), torch.device("meta"), False)
    forced = replace(BUDGETS[0], limit=0, min_thinking=0)
    for at, budget in enumerate((BUDGETS[0], forced)):
        processor.rows[at] = Tracked(processor, BudgetState(budget), SamplingConfig(), at, False, False, 0)
    processor._gather()
    for at in range(2):
        processor._visit(at, 0)
    with HostWaits() as host:
        processor._sort()
    assert processor.watched_rows.shape == processor.forced_rows.shape == (1,)
    assert host.waits == {}
