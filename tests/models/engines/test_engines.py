"""The Transformers engine, and what every engine shares."""

import gc
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from budget_forcing.budget import Budget, StopRule
from budget_forcing.budget_state import Outcome
from configs.errors import EngineError, ModelError
from configs.schema.adapters import LoraConfig
from configs.schema.sections import EngineConfig, ModelConfig, SamplingConfig
from data.think_format import DEEPSEEK, NONE, S1, XML, ThinkFormat
from data.turn_reader import END_OF_TURN
from models.backend import RUNNER
from models.engines.base import Engine, Request, prompt_ids
from models.engines.generation import Generation, decode, end_of_turn, positions
from models.engines.replicas import Replicas
from models.engines.select import choose_engine, load_engine
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from tests.models.engines.sweep import check_early_stop, check_sweep
from tests.tiny import tiny_model, tiny_tokenizer

pytestmark = pytest.mark.engine

GREEDY = SamplingConfig(temperature=0.0)
BUDGET = Budget(max_thinking=14, num_waits=2, max_answer=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return load_model(ModelConfig(name=str(folder), precision="fp32", max_length=300))


def engine_of(loaded: LoadedModel, think: ThinkFormat = S1, context: int = 300, batch: int = 8) -> TransformersEngine:
    return TransformersEngine(loaded.model, loaded.tokenizer, think, context, batch)


def ask(text: str, **fields: Any) -> Request:
    return Request([{"role": "user", "content": text}], **{"seed": len(text), "budget": BUDGET, **fields})


REQUESTS = [ask("a" * n, n=1 + n % 2) for n in (1, 40, 3, 17, 90, 5)] + [
    ask("plain", budget=None, max_tokens=25),
    ask("greedy", sampling=GREEDY),
    ask("cut", sampling=SamplingConfig(temperature=0.8, top_p=0.9, top_k=50, min_p=0.001), n=3),
]


def same(one: list[Generation], other: list[Generation]) -> bool:
    return [g.token_ids for g in one] == [g.token_ids for g in other]


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_text_is_independent_of_batch_size(loaded: LoadedModel, batch: int) -> None:
    together = engine_of(loaded, batch=4).generate(REQUESTS)
    assert same(together, engine_of(loaded, batch=batch).generate(REQUESTS))
    alone = [g for request in REQUESTS for g in engine_of(loaded).generate([request])]
    assert same(together, alone)


def test_samples_return_in_request_order(loaded: LoadedModel) -> None:
    reported: list[Generation] = []
    generations = engine_of(loaded, batch=2).generate(REQUESTS, reported.append)
    expected = [(at, sample) for at, request in enumerate(REQUESTS) for sample in range(request.n)]
    assert [(g.request, g.sample) for g in generations] == expected
    assert sorted((g.request, g.sample) for g in reported) == expected
    assert [g.seconds for g in reported] == sorted(g.seconds for g in reported)


def test_seed_repeats_samples(loaded: LoadedModel) -> None:
    engine = engine_of(loaded)
    three = engine.generate([ask("hello", n=3)])
    assert len({g.token_ids for g in three}) == 3
    assert same(three, engine.generate([ask("hello", n=3)]))
    assert same(three[:1], engine.generate([ask("hello")]))
    assert not same(three[:1], engine.generate([ask("hello", seed=99)]))


def test_unseeded_requests_follow_torch_seed(loaded: LoadedModel) -> None:
    engine = engine_of(loaded)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(engine.generate([ask("hello", seed=None)])[0].token_ids)
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("sampling", [GREEDY, SamplingConfig(), SamplingConfig(temperature=0.7, top_p=0.9)], ids=str)
def test_in_engine_budget_equals_rounds(loaded: LoadedModel, sampling: SamplingConfig) -> None:
    budgets = [
        BUDGET,
        Budget(max_thinking=9, num_waits=3, wait_text="", max_answer=4),
        Budget(max_thinking=0, max_answer=3),
    ]
    requests = [ask("q" * n, budget=b, sampling=sampling) for n in (2, 30) for b in budgets]
    engine = engine_of(loaded)
    inside, rounds = engine.generate(requests), engine.generate_in_rounds(requests)
    for one, other in zip(inside, rounds, strict=True):
        assert (one.token_ids, one.forced, one.stop, one.finish) == (
            other.token_ids,
            other.forced,
            other.stop,
            other.finish,
        )
        assert (one.thinking, one.answer) == (other.thinking, other.answer)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert (one.control, other.control) == ("engine", "rounds")


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("sampling", [GREEDY, SamplingConfig(), SamplingConfig(temperature=0.7, top_p=0.9)], ids=str)
def test_sweep_decodes_the_thinking_once_and_changes_nothing(
    loaded: LoadedModel, sampling: SamplingConfig, batch: int
) -> None:
    check_sweep(engine_of(loaded, batch=batch), sampling)


def test_branch_shorter_than_the_final_text_of_another(loaded: LoadedModel) -> None:
    budgets = [Budget(8, max_answer=3, final_answer_text="x" * 200), Budget(0, max_answer=3), Budget(9, max_answer=3)]
    requests = [ask("a", seed=1, budget=budget) for budget in budgets]
    together = engine_of(loaded).generate(requests)
    alone = [engine_of(loaded).generate([request])[0] for request in requests]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]


def test_branches_that_have_begun_are_let_go(loaded: LoadedModel) -> None:
    engine, held = engine_of(loaded, batch=1), []
    engine.on_token = lambda at, row: held.append(sum(type(its) is Outcome for its in gc.get_objects()))
    engine.generate([ask("a", seed=1, budget=Budget(limit, max_answer=3)) for limit in range(20)])
    assert held[-1] < max(held) / 2


@pytest.mark.parametrize("sampling", [GREEDY, SamplingConfig(temperature=0.3)], ids=str)
def test_thinking_is_stopped_early_where_its_rule_holds(loaded: LoadedModel, sampling: SamplingConfig) -> None:
    check_early_stop(engine_of(loaded, batch=3), sampling)


def test_rule_that_can_not_probe_is_refused(loaded: LoadedModel) -> None:
    budget = Budget(max_thinking=9, max_answer=4, stop_when=StopRule(4, agree=2, max_answer=2))
    with pytest.raises(EngineError, match="stop_when: the tokenizer splits"):
        engine_of(loaded, XML).generate([ask("a", budget=budget)])
    with pytest.raises(EngineError, match="stop_when: the request has stop strings"):
        engine_of(loaded).generate([ask("a", budget=budget, stop=("x",))])


def test_generation_is_thinking_end_answer(loaded: LoadedModel) -> None:
    tokenizer = loaded.tokenizer
    for g in engine_of(loaded).generate([ask("x" * n, n=4) for n in range(1, 9)]):
        end = len(tokenizer.encode(S1.end, add_special_tokens=False))
        stopped = g.finish == "stop"
        assert (
            len(g.token_ids) == g.thinking_tokens + end + g.answer_tokens + stopped == len(g.forced) == len(g.logprobs)
        )
        thinking, _, answer = g.text.removesuffix("<|im_end|>" * stopped).partition(S1.end)
        thinking = END_OF_TURN.sub("", thinking)  # a random model writes other ends of a turn into either part
        answer = END_OF_TURN.split(answer)[0]
        assert (g.thinking, g.answer) == (thinking.strip(), answer.strip())
        assert g.thinking_tokens <= 14
        assert 1 <= g.answer_tokens + stopped <= 6
        assert all((logprob == 0.0) == forced for logprob, forced in zip(g.logprobs, g.forced, strict=True))
        assert g.stop is not None


def test_logprobs_match_the_model(loaded: LoadedModel) -> None:
    engine = engine_of(loaded)
    for g in engine.generate([ask("abc", n=4), ask("def", sampling=GREEDY), ask("ghi", budget=None, max_tokens=20)]):
        ids = torch.tensor([[*g.prompt_ids, *g.token_ids]])
        with torch.inference_mode():
            logprobs = loaded.model(ids).logits[0, len(g.prompt_ids) - 1 : -1].log_softmax(1)
        for at, (token, logprob) in enumerate(zip(g.token_ids, g.logprobs, strict=True)):
            if not g.forced[at]:
                assert logprob == pytest.approx(logprobs[at, token].item(), abs=1e-4)


def sliding(kind: str) -> Any:
    """A random model whose attention slides: all of it (Mistral), or every other layer's (Gemma 3)."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, MistralConfig, MistralForCausalLM

    shape: dict[str, Any] = {"vocab_size": 264, "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2}
    shape |= {"num_key_value_heads": 1, "head_dim": 32, "sliding_window": 8, "initializer_range": 0.2}
    shape |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(0)
    if kind == "mistral":
        return MistralForCausalLM(MistralConfig(num_hidden_layers=2, **shape)).eval()
    layers = ["sliding_attention", "full_attention"] * 2
    return Gemma3ForCausalLM(Gemma3TextConfig(num_hidden_layers=4, layer_types=layers, **shape)).eval()


@pytest.mark.parametrize("kind", ["mistral", "gemma3"])
def test_sliding_window_decodes_like_generate(kind: str) -> None:
    model = sliding(kind)
    engine = TransformersEngine(model, tiny_tokenizer(), S1, 300, batch_size=3)
    requests = [ask("q" * n, budget=None, max_tokens=9 + n, sampling=GREEDY) for n in (1, 30, 4, 17)]
    requests += [ask("s" * n, n=3, budget=None, max_tokens=8 + n) for n in (2, 20)]
    for g in engine.generate(requests):
        ids = torch.tensor([g.prompt_ids])
        with torch.inference_mode():
            if requests[g.request].sampling == GREEDY:
                length = len(g.token_ids)
                plain = model.generate(
                    ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=length, pad_token_id=0
                )
                assert plain[0, ids.shape[1] :].tolist() == list(g.token_ids)
            whole = torch.tensor([[*g.prompt_ids, *g.token_ids]])
            logprobs = model(whole).logits[0, ids.shape[1] - 1 : -1].log_softmax(1)
        own = [logprobs[at, token].item() for at, token in enumerate(g.token_ids)]
        assert list(g.logprobs) == pytest.approx(own, abs=1e-3)


def test_state_space_model_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    model = MambaForCausalLM(MambaConfig(vocab_size=264, hidden_size=16, num_hidden_layers=2, state_size=4))
    with pytest.raises(EngineError, match=r"LinearAttentionLayer; .*name: vllm"):
        TransformersEngine(model, tiny_tokenizer(), S1, 300)


def test_stop_string_ends_completion(loaded: LoadedModel) -> None:
    engine = engine_of(loaded)
    free = engine.generate([ask("hello", budget=None, max_tokens=60)])[0]
    word = decode(loaded.tokenizer, free.token_ids[20:22])
    stopped = engine.generate([ask("hello", budget=None, max_tokens=60, stop=(word,))])[0]
    assert stopped.token_ids == free.token_ids[: len(stopped.token_ids)]
    assert stopped.text.endswith(word)
    assert stopped.finish == "stop"
    assert len(stopped.token_ids) < len(free.token_ids)


def test_stop_string_in_thinking_ends_rounds(loaded: LoadedModel) -> None:
    engine = engine_of(loaded)
    budget = Budget(max_thinking=14, num_waits=2, max_answer=6)
    texts = [ask("q" * n, budget=budget, sampling=GREEDY) for n in (1, 7, 30)]
    # every character: in the thinking, in what was forced, in the answer
    words = [(text, word) for text, g in zip(texts, engine.generate(texts), strict=True) for word in set(g.text)]
    requests = [replace(text, stop=(word,)) for text, word in words if word.isascii()]
    inside, rounds = engine.generate(requests), engine.generate_in_rounds(requests)
    assert {g.answer_tokens > 0 for g in inside} == {True, False}
    assert None in {g.stop for g in inside} != {None}
    for one, other in zip(inside, rounds, strict=True):
        assert one.token_ids == other.token_ids
        assert (one.stop, one.finish, one.forced) == (other.stop, other.finish, other.forced)
        assert (one.thinking_tokens, one.answer_tokens) == (other.thinking_tokens, other.answer_tokens)


@pytest.mark.parametrize("word", ["Wait", "Hmm", "Alternatively", ""])
def test_wait_text_replaces_end_of_thinking(loaded: LoadedModel, word: str) -> None:
    budget = Budget(max_thinking=60, min_thinking=60, wait_text=word, max_answer=4)
    made = engine_of(loaded).generate([ask("q" * n, budget=budget, n=12) for n in (1, 9)])
    assert {g.thinking_tokens for g in made} == {60}
    written = []
    for g in made:
        forced = [token for token, was in zip(g.token_ids[:60], g.forced[:60], strict=True) if was]
        written.append(decode(loaded.tokenizer, forced))
        assert written[-1] == word * (len(written[-1]) // max(len(word), 1))
    assert any(written) == bool(word)


def test_split_delimiters_run_in_rounds(loaded: LoadedModel, caplog: pytest.LogCaptureFixture) -> None:
    requests = [ask("one"), ask("two", budget=None, max_tokens=12), ask("three", n=2)]
    generations = engine_of(loaded, XML, context=500).generate(requests)
    assert [g.control for g in generations] == ["rounds", "none", "rounds", "rounds"]
    assert "rounds" in caplog.text
    assert "</reasoning>" in caplog.text
    for g in generations:
        if g.control == "rounds":
            assert g.text.partition("</reasoning>\n<answer>\n")[0].strip() == g.thinking
            assert g.thinking_tokens <= 14


def test_unknown_ids_decode_to_nothing(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "m", vocabulary=400)
    big = load_model(ModelConfig(name=str(folder), precision="fp32"))
    generations = engine_of(big).generate([ask("x", n=8)])
    unknown = [i for g in generations for i in g.token_ids if i >= len(big.tokenizer)]
    assert unknown
    assert all(g.text == decode(big.tokenizer, [i for i in g.token_ids if i < 259]) for g in generations)
    rounds = engine_of(big).generate_in_rounds([ask("x", n=8)])
    assert same(generations, rounds)


def test_oversized_request_is_refused_first(loaded: LoadedModel) -> None:
    engine = engine_of(loaded, context=100)
    calls: list[Any] = []
    engine.on_token = lambda at, row: calls.append(at)
    with pytest.raises(EngineError, match=r"request 1: prompt \d+ .* context of 100"):
        engine.generate([ask("ok", budget=None), ask("x" * 120, budget=None)])
    with pytest.raises(EngineError, match=r"thinking 90 .* context of 100"):
        engine.generate([ask("x", budget=Budget(max_thinking=90, max_answer=5))])
    for wrong in (0, -3):
        with pytest.raises(EngineError, match=rf"completion {wrong} tokens"):
            engine.generate([ask("x", budget=None, max_tokens=wrong)])
    with pytest.raises(EngineError, match="n=0"):
        engine.generate([ask("x", n=0)])
    with pytest.raises(EngineError, match="user and assistant take turns"):
        engine.generate([Request([{"role": "assistant", "content": "hi"}])])
    assert calls == []


def test_completion_keeps_its_limits(loaded: LoadedModel) -> None:
    engine = engine_of(loaded, context=120)
    generations = engine.generate([ask("x", budget=Budget(max_answer=20), n=4), ask("y", budget=None, n=4)])
    assert all(len(g.prompt_ids) + len(g.token_ids) <= 120 for g in generations)
    assert {g.stop for g in generations[:4]} <= {"context", "natural"}
    capped = engine.generate([ask("x", budget=Budget(max_answer=5), max_tokens=30, n=4)])
    assert all(len(g.token_ids) <= 30 for g in capped)


@pytest.fixture
def training(folder: Path) -> LoadedModel:
    loaded = load_model(ModelConfig(name=str(folder), precision="fp32"), LoraConfig(r=4, dropout=0.3))
    for name, parameter in loaded.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(1))
    return loaded


def test_training_model_generates_in_eval_mode(training: LoadedModel) -> None:
    model = training.model
    calm = engine_of(training).generate(REQUESTS)
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
    model.train()
    model.base_model.model.model.layers[0].eval()  # a module that somebody froze on purpose
    modes = {name: module.training for name, module in model.named_modules()}
    assert same(calm, engine_of(training).generate(REQUESTS))
    assert modes == {name: module.training for name, module in model.named_modules()}
    ids = torch.tensor([list(calm[0].prompt_ids)])
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_adapter_changes_the_text(training: LoadedModel, loaded: LoadedModel) -> None:
    assert not same(engine_of(training).generate(REQUESTS), engine_of(loaded).generate(REQUESTS))


def test_generation_config_sets_no_sampling(folder: Path, loaded: LoadedModel) -> None:
    plain = engine_of(loaded).generate(REQUESTS)
    config = loaded.model.generation_config
    before = config.to_dict()
    config.update(temperature=0.01, top_k=1, do_sample=True, repetition_penalty=5.0, max_new_tokens=1)
    try:
        assert same(plain, engine_of(loaded).generate(REQUESTS))
    finally:
        config.update(**before)


@pytest.mark.parametrize(
    ("text", "think", "parts"),
    [
        ("2+2\n<|im_start|>answer\n4", S1, ("2+2\n", "4")),
        ("2+2<|im_start|>answer", S1, ("2+2", "")),
        ("2+2", S1, ("2+2", "")),
        ("so</think>\n\n4", DEEPSEEK, ("so", "4")),
        ("so</think>4", DEEPSEEK, ("so", "4")),
        ("日</think>月", DEEPSEEK, ("日", "月")),
        ("2日", S1, ("2日", "")),
        ("<reasoning>\nso\n</reasoning>\n<answer>\n4\n</answer>", XML, ("<reasoning>\nso\n", "4\n</answer>")),
    ],
)
def test_unbudgeted_completion_is_split(text: str, think: ThinkFormat, parts: tuple[str, str]) -> None:
    tokenizer = tiny_tokenizer()
    tokens = tokenizer.encode(text, add_special_tokens=False)
    end, start = positions(tokens, tokenizer, think)
    assert (decode(tokenizer, tokens[:end]), decode(tokenizer, tokens[start:])) == parts


def test_turn_drops_unknown_end(loaded: LoadedModel) -> None:
    engine = TransformersEngine(loaded.model, loaded.tokenizer, S1, 300)
    made = engine.generate([Request([5, 6, 7], seed=1, max_tokens=6)])[0]
    whole, last = S1.prefill + made.text, made.token_ids[-1]
    assert engine.turn(made) == whole
    engine.eos = (last,)
    assert engine.turn(made) == whole.removesuffix(decode(loaded.tokenizer, [last])) != whole
    engine.eos = (engine.tokenizer.eos_token_id,)
    ended = replace(made, text=made.text + "<|im_end|>", token_ids=(*made.token_ids, engine.tokenizer.eos_token_id))
    assert engine.turn(ended) == whole + "<|im_end|>"


def test_prompt_has_system_history_and_prefill() -> None:
    tokenizer = tiny_tokenizer()
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    ids = prompt_ids(messages, tokenizer, S1)
    assert decode(tokenizer, ids) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n<|im_start|>think\n"
    )
    assert prompt_ids([5, 6], tokenizer, S1) == (5, 6)
    assert XML.system is not None
    assert XML.system in decode(tokenizer, prompt_ids(messages[1:], tokenizer, XML))


def test_every_configured_end_of_turn_counts() -> None:
    class Config:
        eos_token_id: Any = None

    config, tokenizer = Config(), tiny_tokenizer()
    assert end_of_turn(tokenizer, config) == (2,)
    config.eos_token_id = [0, 2]
    assert end_of_turn(tokenizer, config) == (2, 0)
    assert end_of_turn(tokenizer, config, 5) == (2, 0, 5)
    assert end_of_turn(tokenizer, config, [5, 2]) == (2, 0, 5)


def test_generation_config_eos_ends_the_turn(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ask("plain", budget=None, max_tokens=25)
    long = engine_of(loaded).generate([plain])[0]
    other = long.token_ids[5]
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", [2, other])
    engine = engine_of(loaded)
    short = engine.generate([plain])[0]
    assert engine.eos == (2, other)
    assert short.token_ids == long.token_ids[: long.token_ids.index(other) + 1]
    assert short.finish == "stop"


def test_load_engine_shares_weights(folder: Path, loaded: LoadedModel) -> None:
    model = ModelConfig(name=str(folder), precision="fp32", max_length=300)
    engine: Engine = load_engine(EngineConfig(), model, S1, loaded)
    assert isinstance(engine, TransformersEngine)
    assert engine.model is loaded.model
    own = load_engine(EngineConfig(name="transformers", batch_size=2), model, S1)
    assert same(engine.generate(REQUESTS), own.generate(REQUESTS))


@pytest.mark.parametrize(("name", "expected"), [("auto", "transformers"), ("vllm", "vllm"), ("unsloth", "unsloth")])
def test_auto_without_gpu_is_transformers(name: Any, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.backend.has_gpu", lambda: False)
    assert choose_engine(EngineConfig(name=name), ModelConfig(name="smollm2-135m")) == expected


def test_auto_on_gpu_prefers_vllm(monkeypatch: pytest.MonkeyPatch, loaded: LoadedModel) -> None:
    find: Callable[[str], Any] = lambda name: object()  # noqa: E731
    monkeypatch.setattr("models.backend.has_gpu", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", find)
    model = ModelConfig(name="smollm2-135m", fast_inference=True)
    assert choose_engine(EngineConfig(), model) == "vllm"
    assert choose_engine(EngineConfig(), model, loaded) == "transformers"
    unsloth = LoadedModel(None, None, "", "unsloth", "nf4", "")
    assert choose_engine(EngineConfig(), model, unsloth) == "unsloth"


def test_auto_for_int8_is_transformers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("models.backend.has_gpu", lambda: True)
    assert choose_engine(EngineConfig(), ModelConfig(name="smollm2-135m", precision="int8")) == "transformers"
    assert "vLLM quantises to 4 bits alone" in caplog.text


@pytest.mark.parametrize(("asked", "taken"), [({}, "0"), ({RUNNER: "1"}, "1")])
def test_untrained_unsloth_has_users_runner(asked: dict[str, str], taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """V1 where nobody asks, as requests may have budgets; V2 writes what has none, and refuses a budget by itself."""
    monkeypatch.setattr(os, "environ", {name: os.environ[name] for name in os.environ if name != RUNNER} | asked)

    def load(model: ModelConfig) -> None:
        raise ModelError(f"loaded under {os.environ[RUNNER]}")

    monkeypatch.setattr("models.engines.select.load_model", load)
    model = ModelConfig(name="org/model", backend="unsloth", fast_inference=True)
    with pytest.raises(ModelError, match=f"loaded under {taken}"):
        load_engine(EngineConfig(name="unsloth"), model)


@pytest.mark.engine
def test_replicas_answer_like_one_engine(folder: Path) -> None:
    model = ModelConfig(name=str(folder), backend="transformers", precision="fp32", max_length=300)
    one = load_engine(EngineConfig(name="transformers"), model, S1)
    two = load_engine(EngineConfig(name="transformers", data_parallel=2), model, S1)
    try:
        assert (two.name, two.context, two.eos) == (one.name, one.context, one.eos)
        reported: list[Generation] = []
        answered = two.generate(REQUESTS, reported.append)
        assert same(answered, one.generate(REQUESTS))
        assert len(reported) == len(answered)
        two.processes[1].kill()  # type: ignore[attr-defined]
        with pytest.raises(EngineError, match="replica 1 ended with exit code -9"):
            two.generate(REQUESTS)
    finally:
        two.close()
    start = partial(load_engine, EngineConfig(name="transformers"), ModelConfig(name="./no such folder"), S1)
    with pytest.raises(EngineError, match=r"replica 0: .*no such folder"):
        Replicas(start, one.tokenizer, S1, count=2, devices=1)


def test_budget_without_thinking_limits_answer(loaded: LoadedModel) -> None:
    engine = TransformersEngine(loaded.model, loaded.tokenizer, NONE, 300)
    made = engine.generate([Request([5, 6, 7], seed=1, budget=Budget(max_answer=4))])[0]
    assert (made.thinking, made.thinking_tokens, made.stop, made.control) == ("", 0, None, "none")
    assert made.answer_tokens == len(made.token_ids) <= 4
    with pytest.raises(EngineError, match="think format none has no thinking to limit"):
        engine.generate([Request([5, 6, 7], budget=Budget(max_thinking=3))])
