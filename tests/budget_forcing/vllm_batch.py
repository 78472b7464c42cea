"""vLLM's real persistent batch and sampler around a table of logits: a model runner without a model."""

from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessors
from vllm.v1.sample.logits_processor.builtin import MinPLogitsProcessor
from vllm.v1.sample.sampler import Sampler
from vllm.v1.worker.gpu_input_batch import CachedRequestState, InputBatch

from budget_forcing.tokens import TokenBudget
from budget_forcing.vllm_processor import BudgetProcessor
from budget_forcing.vllm_request import extra_args
from configs.schema.sections import SamplingConfig

CONTEXT = 64
Logits = Callable[[str, Sequence[int]], torch.Tensor]
"""(request, tokens so far) → (V,) logits."""


def vllm_config(vocabulary: int, requests: int) -> Any:
    """What processors read of a `VllmConfig`."""
    return SimpleNamespace(
        model_config=SimpleNamespace(get_vocab_size=lambda: vocabulary, max_model_len=CONTEXT, seed=0),
        scheduler_config=SimpleNamespace(max_num_seqs=requests),
    )


def params_of(budget: TokenBudget | None, sampling: SamplingConfig, seed: int | None, **fields: Any) -> SamplingParams:
    """A request's parameters; `fields` go to `extra_args`."""
    args = {} if budget is None else extra_args(budget)
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=seed,
        max_tokens=CONTEXT,
        logprobs=0,
        extra_args={**args, **fields} or None,
    )


class Runner:
    """Requests in vLLM's `InputBatch`; `step` samples one token for each."""

    def __init__(
        self, logits: Logits, vocabulary: int, requests: int, processors: int = 1, stale: bool = False
    ) -> None:
        config, cpu = vllm_config(vocabulary, requests), torch.device("cpu")
        self.processors = [BudgetProcessor(config, cpu, False) for _ in range(processors)]
        self.batch = InputBatch(
            max_num_reqs=requests,
            max_model_len=CONTEXT,
            max_num_batched_tokens=CONTEXT,
            device=cpu,
            vocab_size=vocabulary,
            block_sizes=[16],
            kernel_block_sizes=[16],
            max_num_blocks_per_req=[CONTEXT // 16],
            logitsprocs=LogitsProcessors([MinPLogitsProcessor(config, cpu, False), *self.processors]),
            logitsprocs_need_output_token_ids=True,
        )
        self.sampler = Sampler(logprobs_mode="processed_logprobs")
        self.logits, self.stale = logits, stale
        self.requests: dict[str, CachedRequestState] = {}
        self.texts: dict[str, list[int]] = {}  # what was really sampled
        self.logprobs: dict[str, list[float]] = {}

    def add(self, name: str, params: SamplingParams, prompt: Sequence[int] = (5, 5)) -> None:
        """Take a new request into the batch."""
        generator = None if params.seed is None else torch.Generator().manual_seed(params.seed)
        self.requests[name] = CachedRequestState(
            name, list(prompt), [], params, generator, ([0],), num_computed_tokens=0, output_token_ids=[]
        )
        self.texts[name], self.logprobs[name] = [], []
        self.batch.add_request(self.requests[name])

    def leave(self, name: str) -> None:
        """Preempt a request, or take a finished one out."""
        self.batch.remove_request(name)

    def resume(self, name: str, drop: int = 0) -> None:
        """Take a preempted request back; under async scheduling with a new list, and maybe without its last tokens."""
        request, text = self.requests[name], self.texts[name]
        del text[len(text) - drop :], self.logprobs[name][len(text) :]
        if self.stale or drop:
            request.output_token_ids = list(text)
        self.batch.add_request(request)

    def step(self, discard: Collection[str] = ()) -> None:
        """Sample once; requests in `discard` are in the middle of a prefill, their sample is thrown away."""
        self.batch.condense()
        self.batch.refresh_metadata()
        names = self.batch.req_ids
        if not names:
            return
        logits = torch.stack([self.logits(name, self.texts[name]) for name in names])
        out = self.sampler(logits=logits, sampling_metadata=self.batch.sampling_metadata)
        for name, (token,), logprobs in zip(
            names, out.sampled_token_ids.tolist(), out.logprobs_tensors.logprobs.tolist(), strict=True
        ):
            if name not in discard:
                self.texts[name].append(token)
                self.logprobs[name].append(logprobs[0])
                self.requests[name].output_token_ids.append(-1 if self.stale else token)
