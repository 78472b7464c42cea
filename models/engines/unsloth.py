"""The Unsloth engine: vLLM on the training model's own weights (`fast_inference`), on one GPU.

Unsloth builds its `vllm.LLM` itself and takes no logits processors, but runs it in this process: so the budget's
processor is added to the running worker, and the forced mask is read from it directly. The live adapter goes along with
each call (`load_lora(..., load_tensors=True)`), nothing is written or reloaded. Written against unsloth 2026.10.6 and
unsloth_zoo 2026.10.6; it needs a GPU.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

from budget_forcing.vllm_worker import budget_outcomes, install
from configs.errors import EngineError
from configs.schema.sections import ModelConfig
from data.think_format import ThinkFormat
from models.backend import RUNNER
from models.engines.job import Decoded, Job
from models.engines.vllm import VllmEngine
from models.engines.vllm_internals import model_config_of
from models.load import LoadedModel
from models.protocols import CausalLM


class UnslothEngine(VllmEngine):
    """Decodes with the vLLM that shares `loaded.model`'s weights, and with the adapter as it is now."""

    name = "unsloth"
    about = "vLLM on the weights in memory, with the adapter of the moment"

    def __init__(self, loaded: LoadedModel, model: ModelConfig, think_format: ThinkFormat) -> None:
        llm = getattr(loaded.model, "vllm_engine", None)
        if llm is None:
            raise EngineError("engine.name: unsloth needs model.backend=unsloth and model.fast_inference=true")
        mode = model_config_of(llm).logprobs_mode
        if mode != "processed_logprobs":
            raise EngineError(
                f"engine.name: Unsloth's vLLM reports {mode}, not the log-probabilities of what was sampled from; "
                "install unsloth_zoo 2026.10.6 or newer"
            )
        super().__init__(llm, loaded.tokenizer, think_format)
        self.context = min(self.context, model.max_length)
        self.model: Any = loaded.model  # has methods of Unsloth
        self._folder = tempfile.TemporaryDirectory(prefix="mull-live-adapter-")
        self._live: Any = None
        self.has_budgets = all(llm.collective_rpc(install))

    def follow(self, model: CausalLM) -> None:
        """It does so by itself, at every call."""

    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        """See `models.engines.base.Engine.decode`; the adapter's weights are those of this moment.

        Under Unsloth's standby vLLM holds its memory only inside this call.
        """
        if not self.has_budgets and any(job.budget is not None for job in jobs):
            raise EngineError(
                "budget: Unsloth's vLLM started on the V2 model runner, which has no logits processors; set "
                f"{RUNNER}=0 and start again"
            )
        if hasattr(self.model, "peft_config"):
            self._live = self.model.load_lora(self._folder.name, load_tensors=True)
            if getattr(self._live, "_unsloth_merged", False):
                raise EngineError(
                    "engine.name: unsloth: unset UNSLOTH_VLLM_MERGED_ROLLOUT; budgets need vLLM's own LoRA"
                )
        super().decode(jobs, decoded)  # Unsloth wakes a vLLM on standby for `LLM.generate` alone

    def close(self) -> None:
        """The model keeps its vLLM."""
        self._folder.cleanup()

    def _lora(self, adapter: str | None) -> Any:
        return self._live if adapter is None else super()._lora(adapter)

    def _ask(self, names: list[str]) -> list[Any]:
        outcomes: list[Any] = self.llm.collective_rpc(budget_outcomes, args=(names,))[0]
        return outcomes
