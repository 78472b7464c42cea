"""The adapter's way into vLLM: hot-swapped each step under a new name, the base weights never touched."""

import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PeftModel

from configs.errors import EngineError
from configs.schema.adapters import LoraConfig
from configs.schema.sections import EngineConfig, ModelConfig, SamplingConfig
from data.think_format import S1
from models.adapter_files import is_adapter
from models.engines.adapter_sync import Handover
from models.engines.base import Engine, Request
from models.engines.generation import Generation
from models.engines.select import load_engine
from models.load import LoadedModel, load_model
from tests.host_waits import HostWaits
from tests.tiny import tiny_model, tiny_tokenizer
from tests.vllm_env import ENVIRONMENT

pytestmark = pytest.mark.engine

SWAPS = 200


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    return ModelConfig(name=str(tiny_model(tmp_path_factory.mktemp("tiny"))), precision="fp32", max_length=128)


@pytest.fixture
def loaded(config: ModelConfig) -> LoadedModel:
    return load_model(config, LoraConfig(r=4, alpha=8))


def optimize(model: Any, lr: float = 1e-3) -> None:
    """A step of the optimizer that TRL takes, which leaves the weights' `_version` as it was."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    before = [weight._version for weight in trained]
    for weight in trained:
        weight.grad = torch.ones_like(weight)
    torch.optim.AdamW(trained, lr=lr, fused=True).step()
    assert [weight._version for weight in trained] == before


def step(model: Any, seed: int) -> None:
    """Change the adapter in place, to whatever values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.05)


def test_changed_adapter_gets_new_folder(loaded: LoadedModel) -> None:
    handover = Handover()
    first = handover.folder_of(loaded.model)
    assert handover.folder_of(loaded.model) == first
    names = [first]
    for _ in range(3):
        optimize(loaded.model)
        names.append(handover.folder_of(loaded.model))
        assert handover.folder_of(loaded.model) == names[-1]
    assert len(set(names)) == 4
    assert [Path(name).is_dir() for name in names] == [False, False, True, True]  # the one in use stays
    handover.close()
    assert not Path(names[-1]).exists()


@pytest.mark.parametrize("adapter", [LoraConfig(r=4, alpha=8), LoraConfig(r=4, alpha=6, rslora=True)])
def test_folder_holds_the_adapter(adapter: LoraConfig, config: ModelConfig) -> None:
    loaded = load_model(config, adapter)
    step(loaded.model, 1)
    ids = torch.tensor([[5, 6, 7, 8]])
    handover = Handover()
    base = load_model(config, None).model
    again = PeftModel.from_pretrained(base, handover.folder_of(loaded.model))
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, loaded.model(ids).logits)
    handover.close()


def test_waits_are_per_adapter_not_per_tensor(tmp_path: Path) -> None:
    counts = []
    for layers in (2, 6):
        name = str(tiny_model(tmp_path / str(layers), layers=layers))
        model = load_model(ModelConfig(name=name, precision="fp32"), LoraConfig(r=4, alpha=8)).model
        handover = Handover()
        first = handover.folder_of(model)
        with HostWaits() as unchanged:
            assert handover.folder_of(model) == first
        optimize(model)
        with HostWaits() as changed:
            assert handover.folder_of(model) != first
        handover.close()
        counts.append([(host.waits, host.copies) for host in (unchanged, changed)])
    assert counts[0] == counts[1] == [({"aten.equal.default": 1}, 0), ({"aten.equal.default": 1}, 1)]


def test_one_changed_weight_gets_new_folder(loaded: LoadedModel) -> None:
    handover = Handover()
    names = {handover.folder_of(loaded.model)}
    for weight in [weight for weight in loaded.model.parameters() if weight.requires_grad]:
        with torch.no_grad():
            weight.view(-1)[-1] += 0.5
        names.add(handover.folder_of(loaded.model))
    assert len(names) == 1 + sum(weight.requires_grad for weight in loaded.model.parameters())
    handover.close()


def test_model_without_adapter_is_refused(config: ModelConfig) -> None:
    with pytest.raises(EngineError, match="trains none; name an `adapter:`"):
        load_engine(EngineConfig(name="vllm"), config, S1, load_model(config, None))


@pytest.fixture
def engine(loaded: LoadedModel, config: ModelConfig) -> Iterator[Any]:
    pytest.importorskip("vllm")
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"})
    made = load_engine(EngineConfig(name="vllm", batch_size=8), config, S1, loaded)
    try:
        yield made
    finally:
        made.close()
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.filterwarnings("ignore")  # vLLM's own
def test_swaps_keep_base_weights_and_agreement(loaded: LoadedModel, engine: Any) -> None:
    from rl.policy_check import agreement, checksum

    def base_weights(worker: Any) -> int:
        return checksum(worker.model_runner.model)

    prompts = [[5, 6, 7, 8, 9], [40, 41, 42]]
    before, own = engine.llm.collective_rpc(base_weights), checksum(loaded.model)
    for seed in range(SWAPS):
        step(loaded.model, seed)
        engine.follow(loaded.model)
        engine.generate([Request(tuple(prompts[0]), max_tokens=1, seed=seed)])
        if seed % 50 == 0:
            assert agreement(engine, loaded.model, prompts).mean < 1e-4
    found = agreement(engine, loaded.model, prompts)
    assert found.mean < 1e-4
    assert found.base is not None
    assert found.base > 0.05  # it is the adapter that answers
    for sampling in (SamplingConfig(top_p=0.9), SamplingConfig(temperature=0.7, top_k=5, min_p=0.05)):
        assert agreement(engine, loaded.model, prompts, sampling).mean < 1e-4
    assert engine.llm.collective_rpc(base_weights) == before
    assert checksum(loaded.model) == own


class Core:
    """What `decode` asks of `vllm.LLM`: answers every request with one token, or dies at the first step."""

    def __init__(self, dies: bool = False) -> None:
        self.llm_engine = self.engine_core = self.vllm_config = self
        self.lora_config = True
        self.dies, self.asked = dies, list[str]()
        self.loras: list[Any] = []
        self.resources: Any = None

    def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any) -> None:
        self.asked.append(name)
        self.loras.append(lora_request)

    def abort_request(self, names: list[str]) -> None:
        self.asked.clear()

    def has_unfinished_requests(self) -> bool:
        return bool(self.asked)

    def shutdown(self) -> None:
        self.asked.clear()

    def step(self) -> list[Any]:
        from vllm.v1.engine.exceptions import EngineDeadError

        if self.dies:
            raise EngineDeadError()
        completion = SimpleNamespace(token_ids=[5], logprobs=None)
        return [SimpleNamespace(finished=True, request_id=self.asked.pop(), outputs=[completion])]


def on_core(core: Core) -> Any:
    """A vLLM engine that asks `core`."""
    pytest.importorskip("vllm")
    from models.engines.vllm import VllmEngine

    engine = VllmEngine.__new__(VllmEngine)
    Engine.__init__(engine, tiny_tokenizer(), S1, 64, (2,))
    engine.llm, engine.adapter, engine._numbers, engine._adapters = core, None, itertools.count(), {}
    engine._handover = engine._followed = engine._start = None
    engine._processes = []
    return engine


@pytest.mark.parametrize("mends", [True, False])
def test_dead_vllm_restarts_once(mends: bool) -> None:
    engine = on_core(Core(dies=True))
    engine._start = lambda: Core(dies=not mends)
    asked = [Request((5, 6), max_tokens=4), Request((7, 8), max_tokens=4)]
    if mends:
        assert [g.token_ids for g in engine.generate(asked)] == [(5,), (5,)]
    else:
        with pytest.raises(EngineError, match=r"vLLM died; .* started anew only once: go on with --resume"):
            engine.generate(asked)


def test_vllm_that_died_asleep_restarts() -> None:
    class Sleeper(Core):
        def is_sleeping(self) -> bool:
            from vllm.v1.engine.exceptions import EngineDeadError

            if self.dies:
                raise EngineDeadError()
            return False

        def sleep(self, level: int) -> None:
            slept.append(level)

    slept: list[int] = []
    engine = on_core(Sleeper(dies=True))
    engine.sleeps, engine._start = True, Sleeper
    assert [g.token_ids for g in engine.generate([Request((5, 6), max_tokens=4)])] == [(5,)]
    assert slept == [1]


def test_death_says_the_exit_code() -> None:
    core = Core(dies=True)
    core.resources = SimpleNamespace(engine_manager=SimpleNamespace(finished_procs=lambda: {"EngineCore_0": -9}))
    with pytest.raises(EngineError, match=r"vLLM died \(exit code -9: killed, often for want of memory\); its log"):
        on_core(core).generate([Request((5, 6), max_tokens=4)])


def test_failed_restart_is_reported() -> None:
    def start() -> Any:
        raise RuntimeError("no memory")

    engine = on_core(Core(dies=True))
    engine._start = start
    with pytest.raises(EngineError, match=r"vLLM died; .* can't be started anew \(no memory\): go on with --resume"):
        engine.generate([Request((5, 6), max_tokens=4)])
    engine.close()


@pytest.mark.parametrize("gone", ["adapter_model.safetensors", "adapter_config.json", ".", ".."])
def test_missing_adapter_is_rewritten(loaded: LoadedModel, gone: str) -> None:
    handover = Handover()
    folder = Path(handover.folder_of(loaded.model))
    before = (folder / "adapter_model.safetensors").read_bytes()
    place = (folder / gone).resolve()
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    again = Path(handover.folder_of(loaded.model))
    assert is_adapter(again)
    assert (again / "adapter_model.safetensors").read_bytes() == before
    handover.close()


def test_adapter_is_checked_before_vllm_reads_it(loaded: LoadedModel, tmp_path: Path) -> None:
    core = Core()
    engine = on_core(core)
    engine.follow(loaded.model)
    shutil.rmtree(engine.adapter)
    engine.generate([Request((5, 6), max_tokens=4)])
    assert is_adapter(Path(core.loras[0].lora_path))
    named = [Request((5, 6), max_tokens=4), Request((5, 6), max_tokens=4, adapter=str(tmp_path / "gone"))]
    with pytest.raises(EngineError, match=r"adapter .*/gone: it holds no adapter \(any more\); put it back"):
        engine.generate(named)
    assert len(core.loras) == 1  # nothing was asked of vLLM
    engine.llm = None
    engine.close()


@pytest.fixture
def apart(loaded: LoadedModel, config: ModelConfig) -> Iterator[Any]:
    """An engine as training starts it, in a process of its own; but uncompiled, which starts faster."""
    pytest.importorskip("vllm")
    from models.engines.vllm import VllmEngine, lora_room

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}).items():
            patch.setenv(name, value)
        room = lora_room(loaded.model)
        made = VllmEngine.load(EngineConfig(name="vllm", batch_size=8), config, S1, enforce_eager=True, **room)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.filterwarnings("ignore")  # vLLM's own
def test_vllm_that_hangs_or_dies_loses_no_generation(
    loaded: LoadedModel, apart: Any, caplog: pytest.LogCaptureFixture
) -> None:
    import psutil

    step(loaded.model, 1)
    apart.follow(loaded.model)
    asked = [Request((5, 6, 7 + n), max_tokens=12 * (n + 1), seed=n) for n in range(8)]
    before = apart.generate(asked)
    finished: list[int] = []

    def stop_core(generation: Generation) -> None:
        """It hangs alive, until it is ended."""
        finished.append(generation.request)
        if len(finished) == 2:
            (core,) = apart.llm.llm_engine.engine_core.resources.engine_manager.processes
            os.kill(core.pid, signal.SIGSTOP)

    def kill_worker(generation: Generation) -> None:
        for process in psutil.Process().children(recursive=True):
            if "Worker" in process.name():
                process.kill()

    apart.silence = 5.0
    again = apart.generate(asked, stop_core)
    assert [g.token_ids for g in again] == [g.token_ids for g in before]  # with the adapter
    assert sorted(finished) == list(range(8))  # each once
    assert "vLLM gave no sign of life for 5 s (engine.silence) and was ended. It is started anew" in caplog.text
    with pytest.raises(EngineError, match=r"vLLM died.* started anew only once: go on with --resume"):
        apart.generate(asked, kill_worker)
    apart.close()
    left = [child.name() for child in psutil.Process().children(recursive=True)]
    assert not [name for name in left if "Engine" in name or "Worker" in name]
