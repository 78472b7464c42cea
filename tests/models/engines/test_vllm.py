"""The vLLM engine on a CPU, in this process and in its own."""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from budget_forcing.budget import Budget
from configs.errors import EngineError, ModelError
from configs.schema.adapters import LoraConfig
from configs.schema.grpo import RolloutEngineConfig
from configs.schema.sections import EngineConfig, ModelConfig, SamplingConfig
from data.think_format import S1, XML
from data.turn_reader import END_OF_TURN
from models.engines.generation import Generation
from models.engines.select import load_engine
from models.engines.transformers import TransformersEngine
from models.load import load_model
from tests.models.engines.asked import BUDGETS, GREEDY, SAMPLINGS, ask
from tests.models.engines.sweep import check_early_stop, check_sweep
from tests.tiny import tiny_model
from tests.vllm_env import ENVIRONMENT

pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("ignore"),  # vLLM's own
]
OTHER_END = 162  # a byte that the model writes now and then


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that ends its thinking now and then, and whose vocabulary is larger than its tokenizer's.

    That `OTHER_END` ends a turn too, its generation config alone says.
    """
    from safetensors.torch import load_file, save_file
    from transformers import GenerationConfig

    folder = tiny_model(tmp_path_factory.mktemp("tiny"), vocabulary=320)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][1:3] *= 2  # <|im_start|> and <|im_end|>
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    GenerationConfig(eos_token_id=[2, OTHER_END]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Any]:
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"})
    pytest.importorskip("vllm")
    from models.engines.vllm import VllmEngine

    model = ModelConfig(name=str(folder), precision="fp32", max_length=300)
    # chunks of 32 prompt tokens, and a cache of 24 blocks: long prompts are chunked and requests preempted
    chunks = {"enable_chunked_prefill": True, "max_num_batched_tokens": 32}
    cache = {"num_gpu_blocks_override": 24, "block_size": 32}
    options = {"enforce_eager": True, "enable_lora": True, "max_lora_rank": 8} | chunks | cache
    engine = VllmEngine.load(EngineConfig(name="vllm", batch_size=8), model, S1, **options)
    try:
        yield engine
    finally:
        engine.close()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def apart(folder: Path, engine: Any) -> Iterator[Any]:
    """An engine as recipes start it, in a process of its own; but uncompiled, which starts faster."""
    from models.engines.vllm import VllmEngine

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
        model = ModelConfig(name=str(folder), precision="fp32", max_length=300)
        other = VllmEngine.load(EngineConfig(name="vllm", batch_size=16), model, S1, enforce_eager=True)
    try:
        yield other
    finally:
        other.close()


@pytest.fixture(scope="module")
def transformers_engine(folder: Path) -> TransformersEngine:
    loaded = load_model(ModelConfig(name=str(folder), precision="fp32", max_length=300))
    return TransformersEngine(loaded.model, loaded.tokenizer, S1, 300)


def facts(generation: Generation) -> tuple[Any, ...]:
    g = generation
    return g.token_ids, g.forced, g.stop, g.finish, g.thinking, g.answer, g.thinking_tokens, g.answer_tokens


@pytest.mark.parametrize("precision", ["nf4", "int8"])
def test_packed_weights_are_refused_at_load(folder: Path, precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vllm")
    from models.engines.vllm import VllmEngine

    monkeypatch.setitem(sys.modules, "vllm_bnb_plugin", None)  # as where it is not installed
    with pytest.raises(ModelError, match=r"model\.precision: "):
        VllmEngine.load(EngineConfig(name="vllm"), ModelConfig(name=str(folder), precision=precision), S1)


@pytest.mark.parametrize("logprobs", [True, False])
@pytest.mark.parametrize("sampling", [GREEDY, *SAMPLINGS], ids=str)
def test_sweep_decodes_the_thinking_once_and_changes_nothing(
    engine: Any, sampling: SamplingConfig, logprobs: bool
) -> None:
    check_sweep(engine, sampling, logprobs)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_precision_is_the_trained_models(
    folder: Path, precision: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the recipe leaves it open, training may have chosen another than an untrained model would have."""
    pytest.importorskip("vllm")

    def start(**given: Any) -> None:
        raise ModelError(f"vLLM got {given['dtype']}")

    monkeypatch.setattr("models.engines.vllm.LLM", start)
    loaded = load_model(ModelConfig(name=str(folder), precision=precision), LoraConfig(r=4))
    with pytest.raises(ModelError, match=f"vLLM got {dtype}"):
        load_engine("vllm", ModelConfig(name=str(folder)), S1, loaded)


def test_vllm_that_sleeps_is_awake_only_while_it_draws(
    engine: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory is CUDA's, which a CPU has none of: what is asked of the real vLLM is recorded."""
    llm, asked = engine.llm, list[str]()
    given: dict[str, Any] = {}
    monkeypatch.setattr(llm.llm_engine.model_config, "enable_sleep_mode", True)
    monkeypatch.setattr(llm.llm_engine, "is_sleeping", lambda: asked[-1:] == ["sleep 1"])
    monkeypatch.setattr(llm, "wake_up", lambda: asked.append("wake"))
    monkeypatch.setattr(llm, "sleep", lambda level: asked.append(f"sleep {level}"))
    monkeypatch.setattr("models.engines.vllm.LLM", lambda **options: given.update(options) or llm)
    loaded = load_model(ModelConfig(name=str(folder), precision="fp32"), LoraConfig(r=4))
    section = RolloutEngineConfig(name="vllm", sleep_mode=True)
    sleeper = load_engine(section, ModelConfig(name=str(folder)), S1, loaded)
    assert given["enable_sleep_mode"] is True
    assert asked == ["sleep 1"]  # the first step is tried before anything is drawn
    step = llm.llm_engine.step

    def awake() -> Any:
        assert asked[-1] == "wake"
        return step()

    monkeypatch.setattr(llm.llm_engine, "step", awake)
    for _ in range(2):
        assert sleeper.generate([ask("x", budget=BUDGETS[0], sampling=GREEDY), ask("x", sampling=GREEDY, max_tokens=3)])
    assert asked == ["sleep 1", "wake", "sleep 1", "wake", "sleep 1"]


def test_greedy_equals_transformers_and_rounds(engine: Any, transformers_engine: TransformersEngine) -> None:
    requests = [ask("q" * n, budget=b, sampling=GREEDY) for n in (1, 50, 120) for b in BUDGETS]
    requests += [ask("plain" * n, sampling=GREEDY, max_tokens=30) for n in (1, 9)]
    inside, theirs = engine.generate(requests), transformers_engine.generate(requests)
    assert {g.stop for g in inside} >= {"natural", "waited:2", "limit", "context"}
    assert [facts(g) for g in inside] == [facts(g) for g in theirs]
    for one, other in zip(inside, theirs, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)
    rounds = engine.generate_in_rounds(requests[:-2])
    assert [facts(g) for g in inside[:-2]] == [facts(g) for g in rounds]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_sampled_generations_keep_budgets(apart: Any, sampling: SamplingConfig) -> None:
    requests = [ask("q" * n, budget=b, sampling=sampling, n=3) for n in (1, 50) for b in BUDGETS]
    generations = apart.generate(requests)
    assert len({g.token_ids for g in generations}) > 20
    for g in generations:
        budget = requests[g.request].budget
        assert budget is not None
        assert g.stop is not None
        assert budget.min_thinking <= g.thinking_tokens <= (budget.max_thinking or 300)
        assert g.answer_tokens + (g.finish == "stop") > 0
        thinking, _, answer = g.text.partition(S1.end)
        assert END_OF_TURN.sub("", thinking).strip() == g.thinking  # a random model writes other ends of a turn
        assert answer.strip().startswith(g.answer)
    again = apart.generate(list(reversed(requests)))
    assert sorted(g.token_ids for g in again) == sorted(g.token_ids for g in generations)


def test_preempted_request_continues(engine: Any, transformers_engine: TransformersEngine) -> None:
    before = preemptions(engine)
    requests = [
        ask("x" * 40 + str(n), budget=Budget(max_thinking=150, num_waits=3, max_answer=20), sampling=GREEDY)
        for n in range(8)
    ]
    generations = engine.generate(requests)
    assert preemptions(engine) > before
    assert [facts(g) for g in generations] == [facts(g) for g in transformers_engine.generate(requests)]


def preemptions(engine: Any) -> int:
    """How often the scheduler has preempted a request that finished since."""
    core = engine.llm.llm_engine.engine_core.engine_core
    if not hasattr(core, "_mull_preemptions"):
        core._mull_preemptions = 0
        preempt = core.scheduler._preempt_request

        def counted(*args: Any, **kwargs: Any) -> None:
            core._mull_preemptions += 1
            preempt(*args, **kwargs)

        core.scheduler._preempt_request = counted
    return int(core._mull_preemptions)


@pytest.mark.parametrize(("where", "seed"), [("engine", None), ("apart", 5)], ids=["chunked prefill", "seeded"])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_sampled_logprobs_match_the_policy(
    where: str,
    seed: int | None,
    sampling: SamplingConfig,
    transformers_engine: TransformersEngine,
    request: pytest.FixtureRequest,
) -> None:
    import torch

    from rl.truncation import sampled_logprobs

    budgets = [*BUDGETS[:3], None]
    requests = [
        ask("q" * n, budget=b, sampling=sampling, n=2, seed=seed, logprobs=True, max_tokens=None if b else 40)
        for n in (1, 30, 90)
        for b in budgets
    ]
    for g in request.getfixturevalue(where).generate(requests):
        ids = torch.tensor([[*g.prompt_ids, *g.token_ids]])
        with torch.inference_mode():
            logits = transformers_engine.model(ids).logits[0, len(g.prompt_ids) - 1 : -1]
        own = sampled_logprobs(logits, g.token_ids, sampling)
        for at, forced in enumerate(g.forced):
            if forced:
                assert g.logprobs[at] == 0.0
            else:
                assert g.logprobs[at] == pytest.approx(own[at].item(), abs=1e-3)


def test_batch_mixes_budgets_and_none(engine: Any, transformers_engine: TransformersEngine) -> None:
    requests = [
        ask("q" * n, budget=BUDGETS[0] if n % 2 else None, sampling=GREEDY, max_tokens=None if n % 2 else 40)
        for n in range(1, 9)
    ]
    assert [facts(g) for g in engine.generate(requests)] == [facts(g) for g in transformers_engine.generate(requests)]


def test_stop_string_ends_completion(engine: Any, transformers_engine: TransformersEngine) -> None:
    free = engine.generate(
        [ask("hello", budget=BUDGETS[0], sampling=GREEDY), ask("hello", sampling=GREEDY, max_tokens=40)]
    )
    # single characters: the bytes of a random model seldom make two in a row
    words = [re.findall("[!-~]", text)[-1] for text in (free[0].thinking, free[0].answer, "answ", free[1].text)]
    requests = [ask("hello", budget=BUDGETS[0], sampling=GREEDY, stop=(word,)) for word in words[:3]]
    requests.append(ask("hello", sampling=GREEDY, max_tokens=40, stop=(words[3],)))
    stopped = engine.generate(requests)
    assert [g.finish for g in stopped] == ["stop"] * 4
    assert all(g.text.endswith(word) for g, word in zip(stopped, words, strict=True))
    assert [facts(g) for g in stopped] == [facts(g) for g in transformers_engine.generate(requests)]


def test_split_delimiters_run_in_rounds(
    apart: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(apart, "think_format", XML)
    rounds = apart.generate([ask("hello", budget=Budget(max_thinking=9, max_answer=3))])[0]
    assert rounds.control == "rounds"
    assert "rounds of stopping and prompting again" in caplog.text
    assert rounds.text.startswith(rounds.thinking + "</reasoning>\n<answer>\n")


def test_generation_config_eos_ends_the_turn(
    engine: Any, transformers_engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.eos == transformers_engine.eos == (2, OTHER_END)
    requests = [ask("q" * n, sampling=GREEDY, max_tokens=80) for n in range(1, 30)]
    plain = engine.generate(requests)
    ended = [g for g in plain if g.token_ids[-1] == OTHER_END]
    assert ended
    assert {g.finish for g in ended} == {"stop"}
    assert [facts(g) for g in plain] == [facts(g) for g in transformers_engine.generate(requests)]
    for each in (engine, transformers_engine):
        monkeypatch.setattr(each, "think_format", XML)
    budget = Budget(max_thinking=60, max_answer=8)
    asked = [replace(request, budget=budget, max_tokens=None) for request in requests]
    rounds = engine.generate(asked)
    assert all(g.stop for g in rounds)  # a turn that ends while thinking is answered all the same
    assert all(g.answer_tokens + (g.finish == "stop") > 0 for g in rounds)
    assert [facts(g) for g in rounds] == [facts(g) for g in transformers_engine.generate(asked)]


def test_each_round_has_own_seed(apart: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = apart.llm.llm_engine
    seeds: list[int] = []
    add = engine.add_request

    def noted(name: str, prompt: Any, params: Any, **options: Any) -> None:
        seeds.append(params.seed)
        add(name, prompt, params, **options)

    monkeypatch.setattr(engine, "add_request", noted)
    budget = Budget(max_thinking=30, min_thinking=25, wait_text="", max_answer=3)
    for seed in range(4):
        apart.generate_in_rounds([ask("hello", budget=budget, seed=seed)])
    assert len(seeds) > 8  # not every sequence ended in its first round
    assert len(set(seeds)) == len(seeds)
    first = len(seeds)
    apart.generate([ask("hello", max_tokens=3, seed=0)])
    assert seeds[first] == seeds[0]  # a first round's seed is that of a request without a budget


def test_stop_in_thinking_leaves_no_budget_stop(engine: Any, transformers_engine: TransformersEngine) -> None:
    free = engine.generate([ask("hello", budget=BUDGETS[0], sampling=GREEDY)])[0]
    words = re.findall("[!-~]", free.thinking)
    requests = [ask("hello", budget=BUDGETS[0], sampling=GREEDY, stop=(word,)) for word in words]
    for ours, theirs in zip(engine.generate(requests), transformers_engine.generate(requests), strict=True):
        assert facts(ours) == facts(theirs)
        assert (ours.stop is None) == (ours.thinking_tokens == len(ours.token_ids))


def test_raw_logprobs_of_unsloth_are_refused(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from models.engines.unsloth import UnslothEngine

    loaded: Any = SimpleNamespace(model=SimpleNamespace(vllm_engine=engine.llm), tokenizer=engine.tokenizer)
    model = ModelConfig(name="x", max_length=300)
    monkeypatch.setattr(engine.llm.llm_engine.model_config, "logprobs_mode", "raw_logprobs")
    with pytest.raises(EngineError, match=r"reports raw_logprobs.*unsloth_zoo"):
        UnslothEngine(loaded, model, S1)


def test_rewritten_adapter_is_reloaded(engine: Any, folder: Path, tmp_path: Path) -> None:
    import torch

    requests = [ask("q" * n, budget=BUDGETS[0], sampling=GREEDY) for n in (1, 20)]
    plain = engine.generate(requests)
    found = []
    for seed in (1, 2):
        loaded = load_model(ModelConfig(name=str(folder), precision="fp32"), LoraConfig(r=4))
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(seed))
        loaded.model.save_pretrained(tmp_path / "adapter")
        os.utime(tmp_path / "adapter" / "adapter_model.safetensors", (seed, seed))
        theirs = TransformersEngine(loaded.model, loaded.tokenizer, S1, 300).generate(requests)
        with_adapter = [
            ask("q" * n, budget=BUDGETS[0], sampling=GREEDY, adapter=str(tmp_path / "adapter")) for n in (1, 20)
        ]
        ours = engine.generate(with_adapter)
        assert [g.token_ids for g in ours] == [g.token_ids for g in theirs]
        found.append([g.token_ids for g in ours])
    assert found[0] != found[1]
    assert [g.token_ids for g in engine.generate(requests)] == [g.token_ids for g in plain]  # the base is untouched


def test_engine_survives_a_refused_request(engine: Any) -> None:
    with pytest.raises(EngineError, match=r"thinking 290 .* context of 300"):
        engine.generate([ask("x", budget=Budget(max_thinking=290))])
    assert engine.generate([ask("x", max_tokens=3)])[0].token_ids


def test_processor_installs_into_running_engine(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from budget_forcing.vllm_processor import BudgetProcessor
    from budget_forcing.vllm_worker import budget_outcomes, install

    requests = [ask("q" * n, budget=BUDGETS[0], sampling=GREEDY) for n in (1, 20)]
    before = engine.generate(requests)

    def take_out(worker: Any) -> int:
        found = worker.model_runner.input_batch.logitsprocs.non_argmax_invariant
        taken = [processor for processor in found if isinstance(processor, BudgetProcessor)]
        for processor in taken:
            found.remove(processor)
        return len(taken)

    assert engine.llm.collective_rpc(take_out) == [1]
    assert engine.llm.collective_rpc(install) == [True]
    assert engine.llm.collective_rpc(install) == [True]  # once is enough
    monkeypatch.setattr(engine, "_ask", lambda names: engine.llm.collective_rpc(budget_outcomes, args=(names,))[0])
    assert [facts(g) for g in engine.generate(requests)] == [facts(g) for g in before]
    assert engine.llm.collective_rpc(take_out) == [1]
    engine.llm.collective_rpc(install)


def test_separate_process_generates_the_same(engine: Any, apart: Any) -> None:
    requests = [ask("q" * n, budget=b, sampling=GREEDY) for n in (1, 20) for b in BUDGETS]
    assert [facts(g) for g in apart.generate(requests)] == [facts(g) for g in engine.generate(requests)]


@pytest.mark.parametrize("sampling", [GREEDY, SamplingConfig(temperature=0.3)], ids=str)
def test_thinking_is_stopped_early_where_its_rule_holds(engine: Any, sampling: SamplingConfig) -> None:
    check_early_stop(engine, sampling)


@pytest.mark.parametrize("sampling", [GREEDY, *SAMPLINGS], ids=str)
def test_seeded_budgets_have_texts_of_transformers(
    engine: Any, transformers_engine: TransformersEngine, sampling: SamplingConfig
) -> None:
    requests = [ask("q" * n, sampling=sampling, budget=budget, n=2) for n in (2, 30) for budget in BUDGETS]
    requests = [request if sampling.temperature else replace(request, n=1) for request in requests]
    ours, theirs = engine.generate(requests), transformers_engine.generate(requests)
    assert list(map(facts, ours)) == list(map(facts, theirs))
    for one, other in zip(ours, theirs, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
