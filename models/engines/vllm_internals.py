"""What is used of vLLM 0.30 that it does not promise: each line is pinned in `test_vllm_internals.py`.

vLLM is imported in full when this module is: it is optional, and takes seconds.
"""

import threading
from typing import TYPE_CHECKING, Any

import psutil
from vllm.v1.engine.exceptions import EngineDeadError

from models.engines.generation import end_of_turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def model_config_of(llm: Any) -> Any:
    """vLLM's view of the model: its context, its end of turn, which log-probabilities it returns."""
    return llm.llm_engine.model_config


def end_of_turn_of(config: Any, tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """The ids that end a turn in vLLM: its generation config's too, at which it stops whatever it is told.

    `config`: vLLM's view of the model.
    """
    generation = config.try_get_generation_config().get("eos_token_id")
    return end_of_turn(tokenizer, config.hf_config, generation)


def has_lora(llm: Any) -> bool:
    """Whether this vLLM was started with room for adapters."""
    return llm.llm_engine.vllm_config.lora_config is not None


def shut_down(llm: Any) -> None:
    """End vLLM's processes and free their memory."""
    llm.llm_engine.engine_core.shutdown()


def tell_of_death(llm: Any) -> None:
    """Have vLLM raise `EngineDeadError` to whoever waits for an answer when its process is killed.

    vLLM 0.30 notices (a thread of its own ends the one that reads answers), but tells nobody who waits already, in
    `step()` or `collective_rpc()`. An engine in this process has no such thread.
    """
    client = llm.llm_engine.engine_core
    reader = getattr(client, "output_queue_thread", None)
    if reader is None:
        return
    answers, calls = client.outputs_queue, client.utility_results

    def tell() -> None:
        reader.join()
        answers.put(EngineDeadError())
        for call in list(calls.values()):
            call.set_exception(EngineDeadError())

    threading.Thread(target=tell, name="vllm-death", daemon=True).start()


def processes_of(llm: Any) -> list[psutil.Process]:
    """vLLM's own processes and what these have started: one that is killed leaves the others to end by themselves."""
    cores = [psutil.Process(core.pid) for core in getattr(_manager(llm), "processes", [])]
    return [process for core in cores for process in (core, *core.children(recursive=True))]


def exit_codes(llm: Any) -> list[int]:
    """The exit codes of vLLM's processes that have ended; negative: a signal's number."""
    manager = _manager(llm)
    return list(manager.finished_procs().values()) if manager is not None else []


def _manager(llm: Any) -> Any:
    """What started vLLM's processes; None for an engine in this process."""
    return getattr(getattr(llm.llm_engine.engine_core, "resources", None), "engine_manager", None)
