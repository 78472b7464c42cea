"""What a vLLM worker adds for budgets: the processor, where it was started without one, and what became of requests."""

from typing import Any

from budget_forcing.vllm_processor import BudgetProcessor
from budget_forcing.vllm_tracked import Tracked


class WorkerExtension:
    """What a finished request's tokens can't say; given to vLLM as `worker_extension_cls`.

    There is no such way back over HTTP.
    """

    def budget_outcomes(self, nonces: list[str]) -> list[dict[str, Any] | None]:
        """By `collective_rpc`: what became of each request, by its nonce; each can be asked for once.

        `forced` (bool per position), `thought`, `answer_at`, `reason`, `drawn_ends` (position → token), and
        `corrections` (position → what to add to the processed log-probability).
        """
        return budget_outcomes(self, nonces)


def budget_outcomes(worker: Any, nonces: list[str]) -> list[dict[str, Any] | None]:
    """`WorkerExtension.budget_outcomes`, for a worker in this process."""
    found = [p for p in worker.model_runner.input_batch.logitsprocs.all if isinstance(p, BudgetProcessor)]
    for processor in found:
        processor.settle()
    return [next((_report(p.finished.pop(n)) for p in found if n in p.finished), None) for n in nonces]


def install(worker: Any) -> bool:
    """Add a `BudgetProcessor` to a worker in this process that was started without one; False: it can't have any."""
    batch = getattr(worker.model_runner, "input_batch", None)
    if batch is None or not hasattr(batch, "logitsprocs"):  # the V2 model runner has no processors
        return False
    if not any(isinstance(processor, BudgetProcessor) for processor in batch.logitsprocs.all):
        pin_memory = worker.device.type != "cpu"
        processor = BudgetProcessor(worker.vllm_config, worker.device, pin_memory)
        batch.logitsprocs.non_argmax_invariant.append(processor)
    return True


def _report(tracked: Tracked) -> dict[str, Any]:
    state, length = tracked.state, tracked.length
    if state.is_ahead(length):
        state = state.rewound(length)
    while state.position < length:
        state.advance(1)
    return {
        "forced": state.forced,
        "thought": state.thought,
        "answer_at": state.answer_at,
        "reason": state.reason,
        "drawn_ends": state.drawn_ends,
        "corrections": tracked.corrections,
    }
