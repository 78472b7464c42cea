"""The server engine on two real `vllm serve` of one tiny model, which `mull serve RECIPE` has started on loopback."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml

from budget_forcing.budget import Budget, StopRule
from configs.errors import EngineError, ModelError, MullError
from configs.schema.adapters import LoraConfig
from configs.schema.sections import EngineConfig, ModelConfig, SamplingConfig
from data.think_format import S1, XML
from models.engines.generation import Generation
from models.engines.select import load_engine
from models.engines.server import ServerEngine
from models.load import LoadedModel, load_model
from rl.policy_check import ROUNDING, look_at_parts
from tests.models.engines.asked import BUDGETS, GREEDY, SAMPLINGS, ask
from tests.tiny import tiny_model
from tests.vllm_env import ENVIRONMENT, free_port, serving

pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("ignore"),  # vLLM's own
]
EVERY_SAMPLING = [GREEDY, *SAMPLINGS]
LORA = LoraConfig(r=4, alpha=8)


@dataclass(frozen=True)
class Servers:
    """Two servers of the model in `folder`, and the recipe's sections."""

    model: ModelConfig
    config: EngineConfig
    ports: tuple[int, ...]

    def processes(self, number: int) -> list[psutil.Process]:
        """Of server `number`: itself, then those that it has started."""
        port = str(self.ports[number])
        for child in psutil.Process().children():
            if child.status() != psutil.STATUS_ZOMBIE and port in child.cmdline():
                return [child, *child.children(recursive=True)]
        raise AssertionError("it has ended")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    pytest.importorskip("vllm")
    root = tmp_path_factory.mktemp("servers")
    folder = tiny_model(root / "tiny", vocabulary=320, scale=1.5)
    shared, recipe = root / "adapters", root / "recipe.yaml"
    model = {"name": str(folder), "precision": "fp32", "max_length": 300}
    recipe.write_text(yaml.safe_dump({"model": model, "engine": {"name": "server", "adapters": str(shared)}}))
    ports = free_port(), free_port()
    options = ["--", "--enforce-eager", "--max-num-seqs", "16"]
    commands = [[sys.executable, "-m", "serving.serve", str(recipe), "--port", str(port), *options] for port in ports]
    starting = [serving(words, port, root / f"log-{port}") for words, port in zip(commands, ports, strict=True)]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        [*pool.map(stack.enter_context, starting)]  # both at once
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        section = {"name": "server", "urls": urls, "adapters": str(shared), "batch_size": 16}
        yield Servers(ModelConfig.model_validate(model), EngineConfig.model_validate(section), ports)


@pytest.fixture(scope="module")
def engine(servers: Servers) -> Iterator[ServerEngine]:
    engine = load_engine(servers.config, servers.model, S1)
    assert isinstance(engine, ServerEngine)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def inside(servers: Servers) -> Iterator[Any]:
    """vLLM in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}).items():
            patch.setenv(name, value)
        from models.engines.vllm import VllmEngine

        config = EngineConfig(name="vllm", batch_size=16)
        inside = VllmEngine.load(config, servers.model, S1, enforce_eager=True)
        yield inside
        inside.close()


def facts(generation: Generation) -> tuple[Any, ...]:
    g = generation
    return (
        g.token_ids,
        g.text,
        g.forced,
        g.stop,
        g.finish,
        g.thinking_tokens,
        g.answer_tokens,
        g.control,
        g.probe_tokens,
    )


def assert_equal(ours: Sequence[Generation], theirs: Sequence[Generation]) -> None:
    assert list(map(facts, ours)) == list(map(facts, theirs))
    for one, other in zip(ours, theirs, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def trained(servers: Servers, seed: int = 0) -> LoadedModel:
    """The model with an adapter that changes what it writes."""
    loaded = load_model(servers.model, LORA)
    change(loaded, seed)
    return loaded


def change(loaded: LoadedModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)


@pytest.mark.parametrize("sampling", EVERY_SAMPLING, ids=str)
def test_budgets_are_those_of_vllm_in_this_process(engine: ServerEngine, inside: Any, sampling: SamplingConfig) -> None:
    requests = [ask("q" * n, budget=b, sampling=sampling, n=2) for n in (1, 50) for b in BUDGETS]
    ours = engine.generate(requests)
    assert any(any(g.forced) for g in ours)
    assert {g.stop for g in ours} >= {"limit", "context"}
    assert_equal(ours, inside.generate(requests))


def test_plain_requests_and_stop_strings_are_the_same_too(engine: ServerEngine, inside: Any) -> None:
    requests = [ask("hello" * n, sampling=sampling, max_tokens=40) for n in (1, 9) for sampling in EVERY_SAMPLING]
    plain = engine.generate(requests)
    assert_equal(plain, inside.generate(requests))
    letter = next(letter for letter in plain[0].text[3:] if letter.isascii() and letter.isprintable())
    stopped = [ask("hello", sampling=GREEDY, max_tokens=40, stop=(letter,), budget=b) for b in (None, *BUDGETS[:1])]
    stopped[1] = ask("hello", sampling=GREEDY, stop=(letter,), budget=BUDGETS[0])
    assert_equal(engine.generate(stopped), inside.generate(stopped))


def test_early_stops_and_rounds_are_the_same_too(
    engine: ServerEngine, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = StopRule(probe_every=8, agree=2, max_answer=4)
    requests = [ask("q" * n, sampling=GREEDY, budget=Budget(40, max_answer=8, stop_when=rule)) for n in (2, 30)]
    ours = engine.generate(requests)
    assert any(g.probe_tokens for g in ours)
    assert_equal(ours, inside.generate(requests))
    for each in (engine, inside):
        monkeypatch.setattr(each, "think_format", XML)
    split = [
        ask("hello", budget=Budget(max_thinking=9, max_answer=3), sampling=sampling) for sampling in EVERY_SAMPLING
    ]
    rounds = engine.generate(split)
    assert {g.control for g in rounds} == {"rounds"}
    assert_equal(rounds, inside.generate(split))


def test_samples_without_a_seed_differ(engine: ServerEngine) -> None:
    torch.manual_seed(3)
    first = engine.generate([ask("hello", seed=None, n=8, max_tokens=30)])
    torch.manual_seed(3)
    again = engine.generate([ask("hello", seed=None, n=8, max_tokens=30)])
    assert len({g.token_ids for g in first}) == 8
    assert [g.token_ids for g in first] == [g.token_ids for g in again]  # whichever server drew them


def test_changed_adapter_is_answered_by_each_server(servers: Servers, engine: ServerEngine) -> None:
    loaded = trained(servers)
    following = load_engine(servers.config, servers.model, S1, loaded)
    requests = [ask("q" * n, budget=BUDGETS[0], sampling=GREEDY) for n in (1, 20, 30, 40)]
    base, seen = engine.generate(requests), []
    try:
        for seed in (1, 2):
            change(loaded, seed)
            gap, wrong = look_at_parts(following, loaded.model, [[5, 6, 7], [8, 9]], ROUNDING)
            assert wrong == ""
            assert gap.mean < ROUNDING < (gap.effect or 0)
            seen.append([g.token_ids for g in following.generate(requests)])
        assert len(following.parts()) == 2
        assert seen[0] != seen[1]
        folders = [path.name for path in Path(str(servers.config.adapters)).glob("*/*")]
        assert sorted(folders) == ["step-1", "step-2"]
    finally:
        following.close()
    assert not [*Path(str(servers.config.adapters)).iterdir()]  # nothing is left behind
    assert_equal(engine.generate(requests), base)  # the base weights are untouched


def test_server_that_kept_an_old_adapter_is_named(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = trained(servers)
    following = load_engine(servers.config, servers.model, S1, loaded)
    assert isinstance(following, ServerEngine)
    try:
        following.follow(loaded.model)
        following.generate([ask("q" * n, max_tokens=2) for n in range(1, 9)])
        change(loaded, 7)
        following.follow(loaded.model)
        # the second server answers the new name with the old folder, as a broken file system would have it
        old, new = (f"{Path(str(following._handover._root.name)).name}/step-{n}" for n in (1, 2))  # type: ignore[union-attr]
        import httpx

        body = {"lora_name": new.replace("/", "-"), "lora_path": str(Path(str(servers.config.adapters)) / old)}
        assert httpx.post(f"{servers.config.urls[1]}/v1/load_lora_adapter", json=body, timeout=100).status_code == 200
        _, wrong = look_at_parts(following, loaded.model, [[5, 6, 7], [8, 9]], ROUNDING)
        assert servers.config.urls[1] in wrong
        assert servers.config.urls[0] not in wrong
    finally:
        following.close()


def test_recipes_own_adapter_goes_to_the_servers(servers: Servers, inside: Any, tmp_path: Path) -> None:
    loaded = trained(servers, 5)
    loaded.model.save_pretrained(tmp_path / "adapter")
    with_adapter = servers.model.model_copy(update={"adapter": str(tmp_path / "adapter")})
    engine = load_engine(servers.config, with_adapter, S1)
    requests = [ask("q" * n, budget=BUDGETS[0], sampling=GREEDY) for n in (1, 20)]
    from models.engines.transformers import TransformersEngine

    theirs = TransformersEngine(loaded.model, loaded.tokenizer, S1, 300).generate(requests)
    assert [g.token_ids for g in engine.generate(requests)] == [g.token_ids for g in theirs]
    engine.close()


def other_model(servers: Servers, folder: Path, **shape: Any) -> ModelConfig:
    return servers.model.model_copy(update={"name": str(tiny_model(folder, **({"vocabulary": 320} | shape)))})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s, f: (s.config, other_model(s, f, layers=3)), ModelError, r"its num_hidden_layers is 2.* is 3; serve"),
        (lambda s, _: (s.config, s.model.model_copy(update={"max_length": 400})), EngineError, "context is 300 tokens"),
        (lambda s, _: (unreachable(s), s.model), EngineError, r"can't be reached .* check engine.urls"),
        (lambda s, _: (s.config.model_copy(update={"api_key_env": "NO_SUCH"}), s.model), EngineError, "NO_SUCH is not"),
    ],
    ids=["another model", "short context", "nobody there", "no key"],
)
def test_server_that_can_not_do_its_part(
    servers: Servers, tmp_path: Path, change: Callable[..., Any], error: type[MullError], message: str
) -> None:
    config, model = change(servers, tmp_path)
    with pytest.raises(error, match=message):
        load_engine(config, model, S1)


def unreachable(servers: Servers) -> EngineConfig:
    return servers.config.model_copy(update={"urls": [*servers.config.urls, f"http://127.0.0.1:{free_port()}"]})


@pytest.mark.parametrize(
    ("adapters", "lora", "message"),
    [
        ("none", LORA, "engine.adapters: the servers answer with an adapter"),
        ("elsewhere", LORA, "does not see there what is written to engine.adapters="),
        (None, LoraConfig(r=32), "has room for LoRAs of rank 16, and this one has 32"),
    ],
)
def test_adapters_need_a_shared_folder_and_room(
    servers: Servers, tmp_path: Path, adapters: str | None, lora: LoraConfig, message: str
) -> None:
    folder = {"none": None, "elsewhere": str(tmp_path)}.get(str(adapters), servers.config.adapters)
    config = servers.config.model_copy(update={"adapters": folder})
    with pytest.raises(EngineError, match=message):
        load_engine(config, servers.model, S1, load_model(servers.model, lora))


def test_server_that_hangs_is_left_out_and_comes_back(servers: Servers, inside: Any) -> None:
    """Its API still answers `/health`: only vLLM's own process stands still."""
    config = servers.config.model_copy(update={"silence": 8.0})
    engine = load_engine(config, servers.model, S1)
    assert isinstance(engine, ServerEngine)
    requests = [ask("q" * n, budget=Budget(max_thinking=60, num_waits=2, max_answer=20)) for n in range(1, 33)]
    stopped = servers.processes(0)[1:]
    for process in stopped:
        process.suspend()
    try:
        ours = engine.generate(requests)
        assert [server.left_out for server in engine.servers] == ["no sign of life for 8 s (engine.silence)", ""]
    finally:
        for process in stopped:
            process.resume()
    theirs = inside.generate(requests)
    assert_equal(ours, theirs)
    assert_equal(engine.generate(requests), theirs)
    assert not any(server.left_out for server in engine.servers)


def test_server_that_is_killed_costs_only_its_own(servers: Servers, inside: Any) -> None:
    engine = load_engine(servers.config, servers.model, S1)
    assert isinstance(engine, ServerEngine)
    requests = [ask("q" * n, budget=Budget(max_thinking=100, num_waits=2, max_answer=20)) for n in range(1, 61)]
    seen: list[int] = []

    def kill(generation: Generation) -> None:
        seen.append(generation.request)
        if len(seen) == 5:
            for process in servers.processes(0):
                os.kill(process.pid, signal.SIGKILL)

    ours = engine.generate(requests, kill)
    assert sorted(seen) == [*range(60)]  # each once
    assert engine.servers[0].left_out
    assert not engine.servers[1].left_out
    assert_equal(ours, inside.generate(requests))
    for process in servers.processes(1):
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"no server is left .* go on with --resume"):
        engine.generate(requests)
