"""Pins what `models.engines.vllm_internals` uses of vLLM 0.30; nothing is started."""

import inspect
import queue
import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("vllm")
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]  # seconds to import

from vllm import LLM  # noqa: E402
from vllm.config import ModelConfig, VllmConfig  # noqa: E402
from vllm.v1.engine import core_client, utils  # noqa: E402
from vllm.v1.engine.exceptions import EngineDeadError  # noqa: E402
from vllm.v1.engine.llm_engine import LLMEngine  # noqa: E402

from models.engines import vllm_internals  # noqa: E402


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_llm_holds_engine_and_core() -> None:
    assert "self.llm_engine = " in inspect.getsource(LLM)
    source = inspect.getsource(LLMEngine)
    assert "self.engine_core = " in source
    assert "self.model_config = " in source
    assert "self.vllm_config = " in source


def test_engine_takes_single_requests() -> None:
    assert parameters(LLMEngine.add_request)[1:4] == ["request_id", "prompt", "params"]
    assert "lora_request" in parameters(LLMEngine.add_request)
    assert parameters(LLMEngine.abort_request)[1] == "request_ids"
    assert parameters(LLMEngine.step) == parameters(LLMEngine.has_unfinished_requests) == ["self"]


def test_configs_have_the_fields_we_read() -> None:
    fields = ModelConfig.__dataclass_fields__
    assert {"max_model_len", "hf_config", "logprobs_mode"} <= set(fields)
    assert callable(ModelConfig.try_get_generation_config)
    assert "lora_config" in VllmConfig.__dataclass_fields__


def test_client_reads_outputs_in_a_thread() -> None:
    source = inspect.getsource(core_client.SyncMPClient)
    assert "self.outputs_queue = queue.Queue" in source
    assert "self.output_queue_thread = Thread(" in source
    assert "self.utility_results" in inspect.getsource(core_client.MPClient)
    assert not hasattr(core_client.InprocClient, "output_queue_thread")
    assert callable(core_client.MPClient.shutdown)
    assert callable(core_client.InprocClient.shutdown)


def test_client_resources_list_processes() -> None:
    assert "engine_manager" in core_client.BackgroundResources.__dataclass_fields__
    assert "self.processes" in inspect.getsource(utils.CoreEngineProcManager)
    assert parameters(utils.CoreEngineProcManager.finished_procs) == ["self"]


def test_engine_death_wakes_waiters() -> None:
    reader = threading.Thread(target=lambda: None)
    call: Future[int] = Future()
    answers: queue.Queue[Any] = queue.Queue()
    client = SimpleNamespace(output_queue_thread=reader, outputs_queue=answers, utility_results={1: call})
    reader.start()
    vllm_internals.tell_of_death(SimpleNamespace(llm_engine=SimpleNamespace(engine_core=client)))
    assert isinstance(answers.get(timeout=10), EngineDeadError)
    assert isinstance(call.exception(timeout=10), EngineDeadError)


def test_inproc_engine_has_no_processes() -> None:
    llm = SimpleNamespace(llm_engine=SimpleNamespace(engine_core=SimpleNamespace()))
    assert vllm_internals.processes_of(llm) == []
    assert vllm_internals.exit_codes(llm) == []
