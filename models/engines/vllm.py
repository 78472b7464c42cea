"""The vLLM engine: budgets in vLLM's sampler, LoRA adapters swapped per request, base weights untouched.

The forced mask comes back by `collective_rpc`: each budgeted request carries a nonce, and a worker extension tells what
became of it once it has finished.
"""

import itertools
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.exceptions import EngineDeadError
from zmq import ZMQError

from budget_forcing.budget_state import Outcome
from budget_forcing.vllm_request import EXTENSION, PROCESSOR
from configs.errors import EngineError
from configs.schema.sections import EngineConfig, ModelConfig
from data.think_format import ThinkFormat
from models.adapter_files import check_adapter, is_adapter, local_adapter, rank_slot, type_of, weights_of
from models.adapter_types import check_vllm_adapter
from models.backend import check_model_config, check_vllm, choose_backend, has_gpu
from models.engines import vllm_internals
from models.engines.adapter_sync import Handover, rank_of
from models.engines.base import Engine
from models.engines.generation import decode
from models.engines.job import Branch, Decoded, Job
from models.engines.replicas import launched_devices, only, visible_devices
from models.engines.sharing import decode_shared
from models.engines.vllm_job import outcome_of, sampling_fields
from models.engines.watchdog import Watchdog
from models.gpu import dtype_of
from models.protocols import CausalLM
from models.source import base_of, source_of
from models.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


class VllmEngine(Engine):
    """Decodes with a `vllm.LLM` that was made with `PROCESSOR`, `EXTENSION` and processed log-probabilities.

    `adapter` is the LoRA folder of requests that name none.
    """

    name = "vllm"
    about = "vLLM's own copy of the base weights; the adapter is handed over whenever it has changed"
    is_exact = False
    silence = 600.0
    """Seconds of one step after which a vLLM in a process of its own hangs."""
    sleeps = False
    """It was started with sleep mode: it holds GPU memory only inside `decode`."""

    def __init__(
        self, llm: Any, tokenizer: "PreTrainedTokenizerBase", think_format: ThinkFormat, adapter: str | None = None
    ) -> None:
        config = vllm_internals.model_config_of(llm)
        eos = vllm_internals.end_of_turn_of(config, tokenizer)
        super().__init__(tokenizer, think_format, config.max_model_len, eos)
        self._take(llm)
        self.adapter = adapter
        self._numbers = itertools.count()
        self._adapters: dict[tuple[str, float], int] = {}
        self._handover: Handover | None = None
        self._followed: Any = None
        self._start: Callable[[], Any] | None = None
        """Starts another vLLM like this one; used once."""
        self.sleeps = bool(config.enable_sleep_mode)

    @classmethod
    def load(cls, config: EngineConfig, model: ModelConfig, think_format: ThinkFormat, **options: Any) -> "VllmEngine":
        """Start vLLM on `model`; `options` go to `vllm.LLM` over what the sections say. Raises `ModelError`."""
        check_model_config(model)
        precision = choose_backend(model).precision
        check_vllm(precision)
        adapter = local_adapter(model.adapter) if model.adapter else None
        shape = check_adapter(adapter) if adapter else {}  # a hub id's is known only now
        check_vllm_adapter(type_of(shape), "engine.name")
        tokenizer = load_tokenizer(model)

        own = launched_devices(os.environ, visible_devices)

        def start() -> Any:
            with only(own):
                return LLM(**given)

        given = {
            "model": source_of(base_of(model)),
            "dtype": dtype_of(precision),
            "quantization": "bitsandbytes" if precision == "nf4" else None,
            "max_model_len": model.max_length,
            "max_num_seqs": config.batch_size,
            "tensor_parallel_size": config.tensor_parallel,
            "gpu_memory_utilization": model.gpu_memory_utilization,
            "logits_processors": [PROCESSOR],
            "worker_extension_cls": EXTENSION,
            "logprobs_mode": "processed_logprobs",
            "generation_config": "vllm",  # never a model's own sampling parameters
            "enable_chunked_prefill": has_gpu(),  # vLLM 0.30 crashes on a seeded request's chunk on a CPU
            "enable_lora": adapter is not None,
            "max_lora_rank": rank_slot(shape.get("r") or 16, str(adapter)),
            "disable_log_stats": True,
            **options,
        }
        engine = cls(start(), tokenizer, think_format, adapter)
        engine._start = start
        engine.silence = config.silence
        engine._sleep()
        return engine

    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        """See `models.engines.base.Engine.decode`.

        A vLLM that dies, or hangs and is ended, is started anew once; then `EngineError`. One that sleeps is awake only
        inside this call.
        """
        try:
            decode_shared(self._decode_until_done, jobs, decoded, partial(decode, self.tokenizer))
        finally:
            self._sleep()

    def _wake(self) -> None:
        if self.sleeps and self.llm.llm_engine.is_sleeping():
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()  # what the training has freed, its allocator still holds
            self.llm.wake_up()

    def _sleep(self) -> None:
        """Give the memory to the training: prefixes are forgotten, adapters are not."""
        if self.sleeps and self.llm is not None:
            with suppress(EngineDeadError, ZMQError):  # why it died is said already
                self.llm.sleep(1)

    def _decode_until_done(self, jobs: Sequence[Job], branch: Branch) -> None:
        known, left = list(jobs), dict.fromkeys(range(len(jobs)))
        while left:
            numbers = list(left)

            def report(at: int, outcome: Outcome, numbers: list[int] = numbers) -> Sequence[Job]:
                del left[numbers[at]]
                more = branch(numbers[at], outcome)
                new = range(len(known), len(known) + len(more))
                known.extend(more)
                numbers.extend(new)
                left.update(dict.fromkeys(new))
                return more

            watchdog = Watchdog(self.silence, self._kill)
            try:
                self._wake()
                with watchdog.watching() if self._processes else nullcontext():
                    self._decode([known[at] for at in numbers], report, watchdog)
            except (EngineDeadError, ZMQError) as error:  # the latter where its sockets were closed under our hands
                self._revive(error, watchdog.has_bitten)

    def _revive(self, error: Exception, has_hung: bool) -> None:
        died = f"vLLM died{_exit_code(vllm_internals.exit_codes(self.llm))}; its log above may say why"
        if has_hung:
            died = f"vLLM gave no sign of life for {self.silence:g} s (engine.silence) and was ended"
        start, self._start = self._start, None
        if start is None:
            raise EngineError(f"{died}. It is started anew only once: go on with --resume") from error
        logger.warning("%s. It is started anew, this once", died)
        self._stop()
        try:
            self._take(start())
        except Exception as failure:
            raise EngineError(f"{died}. It can't be started anew ({failure}): go on with --resume") from failure

    def _decode(self, jobs: list[Job], branch: Branch, watchdog: Watchdog) -> None:
        engine = self.llm.llm_engine
        loras = {adapter: self._lora(adapter) for adapter in {job.adapter for job in jobs}}
        places: dict[str, int] = {}

        def add(at: int, job: Job) -> None:
            name = f"{next(self._numbers)}-{uuid.uuid4().hex[:8]}"
            places[name] = at
            prompt = {"prompt_token_ids": list(job.known)}
            engine.add_request(name, prompt, self._params(job, name), lora_request=loras[job.adapter])

        try:
            for at, job in enumerate(jobs):
                add(at, job)
            while engine.has_unfinished_requests():
                with watchdog.waiting():
                    finished = [out for out in engine.step() if out.finished]
                    outcomes = self._outcomes(finished, jobs, places)
                for at, outcome in outcomes:
                    for job in branch(at, outcome):
                        add(len(jobs), job)
                        jobs.append(job)
        except BaseException:
            engine.abort_request(list(places))
            raise

    def follow(self, model: CausalLM) -> None:
        """Answer with the LoRA of `model` as it is now; nothing is merged, the base weights are never touched."""
        self._handover = self._handover or Handover()
        self._followed = model
        self.adapter = self._handover.folder_of(model)

    def _take(self, llm: Any) -> None:
        self.llm = llm
        vllm_internals.tell_of_death(llm)
        self._processes = vllm_internals.processes_of(llm)

    def _kill(self) -> None:
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _stop(self) -> None:
        llm, self.llm = self.llm, None
        if llm is not None:
            vllm_internals.shut_down(llm)
        stuck = psutil.wait_procs(self._processes, timeout=10)[1]  # in possession of memory
        for process in stuck:
            process.kill()
        psutil.wait_procs(stuck)

    def close(self) -> None:
        """Stop vLLM's processes and free their memory."""
        self._stop()
        if self._handover is not None:
            self._handover.close()

    def _params(self, job: Job, nonce: str) -> Any:
        kind = RequestOutputKind.FINAL_ONLY
        return SamplingParams(**sampling_fields(job, nonce), detokenize=bool(job.stop), output_kind=kind)

    def _lora(self, adapter: str | None) -> Any:
        folder = adapter or self.adapter
        if folder is None:
            return None
        if not vllm_internals.has_lora(self.llm):
            raise EngineError(f"adapter {folder}: this vLLM was started without LoRA; name an adapter in `model:` too")
        if not is_adapter(Path(folder)):  # vLLM's process would die of it
            if adapter is not None or self._followed is None:
                raise EngineError(f"adapter {folder}: it holds no adapter (any more); put it back, or name another")
            self.follow(self._followed)
            folder = str(self.adapter)
        if adapter is not None:
            check_vllm_adapter(type_of(check_adapter(folder)), f"adapter {folder}")
        key = folder, weights_of(Path(folder)).stat().st_mtime
        number = self._adapters.setdefault(key, len(self._adapters) + 1)  # a rewritten folder is another adapter
        return LoRARequest(f"adapter-{number}", number, folder)

    def _ask(self, names: list[str]) -> list[Any]:
        """What became of finished requests, from the first worker; all decide alike."""
        outcomes: list[Any] = self.llm.collective_rpc("budget_outcomes", args=(names,))[0]
        return outcomes

    def _outcomes(
        self, finished: Sequence[Any], jobs: Sequence[Job], places: dict[str, int]
    ) -> list[tuple[int, Outcome]]:
        """(place, what became of it) of each finished request."""
        found = []
        names = [out.request_id for out in finished if jobs[places[out.request_id]].budget is not None]
        outcomes: dict[str, Any] = {}
        if names:
            outcomes = dict(zip(names, self._ask(names), strict=True))
        for out in finished:
            completion = out.outputs[0]
            tokens = list(completion.token_ids)
            logprobs = []
            if completion.logprobs is not None:
                logprobs = [float(p[t].logprob) for p, t in zip(completion.logprobs, tokens, strict=True)]
            if out.request_id in outcomes and outcomes[out.request_id] is None:
                raise EngineError("vLLM does not know what became of a request: its worker runs another processor")
            at = places[out.request_id]
            found.append((at, outcome_of(tokens, logprobs, outcomes.get(out.request_id), jobs[at].begun)))
        return found


def _exit_code(codes: Sequence[int]) -> str:
    """The exit codes of vLLM's processes in brackets, "" where none is known; negative: a signal's number."""
    hint = ": killed, often for want of memory" if -9 in codes else ""
    return f" (exit code {', '.join(map(str, codes))}{hint})" if codes else ""


def lora_room(model: CausalLM) -> dict[str, Any]:
    """`vllm.LLM` options for an adapter of the shape that `model` trains. Raises `EngineError` if it trains none."""
    return {"enable_lora": True, "max_lora_rank": rank_slot(rank_of(model), "adapter.r")}
