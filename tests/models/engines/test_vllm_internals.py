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


def test_an_llm_holds_its_engine_and_the_engine_its_core() -> None:
    assert "self.llm_engine = " in inspect.getsource(LLM)
    source = inspect.getsource(LLMEngine)
    assert "self.engine_core = " in source
    assert "self.model_config = " in source
    assert "self.vllm_config = " in source


def test_the_engine_takes_requests_one_by_one() -> None:
    assert parameters(LLMEngine.add_request)[1:4] == ["request_id", "prompt", "params"]
    assert "lora_request" in parameters(LLMEngine.add_request)
    assert parameters(LLMEngine.abort_request)[1] == "request_ids"
    assert parameters(LLMEngine.step) == parameters(LLMEngine.has_unfinished_requests) == ["self"]


def test_the_configs_say_what_the_engine_asks_of_them() -> None:
    fields = ModelConfig.__dataclass_fields__
    assert {"max_model_len", "hf_config", "logprobs_mode"} <= set(fields)
    assert callable(ModelConfig.try_get_generation_config)
    assert "lora_config" in VllmConfig.__dataclass_fields__


def test_a_client_reads_answers_in_a_thread_of_its_own() -> None:
    source = inspect.getsource(core_client.SyncMPClient)
    assert "self.outputs_queue = queue.Queue" in source
    assert "self.output_queue_thread = Thread(" in source
    assert "self.utility_results" in inspect.getsource(core_client.MPClient)
    assert not hasattr(core_client.InprocClient, "output_queue_thread")
    assert callable(core_client.MPClient.shutdown)
    assert callable(core_client.InprocClient.shutdown)


def test_a_client_s_resources_name_its_processes() -> None:
    assert "engine_manager" in core_client.BackgroundResources.__dataclass_fields__
    assert "self.processes" in inspect.getsource(utils.CoreEngineProcManager)
    assert parameters(utils.CoreEngineProcManager.finished_procs) == ["self"]


def test_who_waits_is_told_of_a_death() -> None:
    reader = threading.Thread(target=lambda: None)
    call: Future[int] = Future()
    answers: queue.Queue[Any] = queue.Queue()
    client = SimpleNamespace(output_queue_thread=reader, outputs_queue=answers, utility_results={1: call})
    reader.start()
    vllm_internals.tell_of_death(SimpleNamespace(llm_engine=SimpleNamespace(engine_core=client)))
    assert isinstance(answers.get(timeout=10), EngineDeadError)
    assert isinstance(call.exception(timeout=10), EngineDeadError)


def test_an_engine_in_this_process_has_no_processes() -> None:
    llm = SimpleNamespace(llm_engine=SimpleNamespace(engine_core=SimpleNamespace()))
    assert vllm_internals.workers_of(llm) == []
    assert vllm_internals.exit_codes(llm) == []
