"""Budgets in vLLM: a V1 logits processor, set per request through `SamplingParams.extra_args`.

    LLM(..., logits_processors=["budget_forcing.vllm_processor:BudgetProcessor"])
    vllm serve ... --logits-processors budget_forcing.vllm_processor:BudgetProcessor
    SamplingParams(extra_args=extra_args(token_budget))                  # over HTTP: "vllm_xargs"

What vLLM 0.30 asks of a processor, from its V1 sources. Under async scheduling (GPU) the last output id may still read
-1, so the state is our own decisions plus the length of the output. `apply` also runs on rows of a prefill chunk, whose
sample is thrown away: a decision counts only once the output has grown. A preempted row is added again without its
request's id, so the state hangs on the request's own parameters. Children of `n > 1` share those inside one process, so
that is refused there. Penalties come after processors and speculative decoding drops processors: the first are refused
here, the second by vLLM when a processor is named.
"""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, process_dict_updates
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p

from budget_forcing.end_decision import Choice, Policies, choose, draw_again, draw_all
from budget_forcing.sampling import REDRAW, mix, uniform
from budget_forcing.tokens import TokenBudget
from budget_forcing.vllm_request import NONCE, SEED, check_params, request_budget
from budget_forcing.vllm_tracked import Tracked, fitting
from configs.errors import EngineError

logger = logging.getLogger(__name__)
KEPT = 8192  # requests whose outcome waits to be asked for
REFUSED, NOT_THINKING = -1, -2  # in place of the id that an end of thinking becomes


@dataclass(slots=True)
class _Pending:
    """Decisions of the last `apply`, not yet known to count; the tensors are on their way to the host."""

    tracked: Sequence[Tracked]
    positions: np.ndarray
    thinking: np.ndarray
    drawing: np.ndarray
    choice: torch.Tensor  # (5, W): `Choice`'s fields
    copied: Any


class BudgetProcessor(LogitsProcessor):  # type: ignore[misc]  # vLLM is not typed here
    """See the module; one instance serves one model runner."""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """vLLM calls this in the front end: a refusal becomes HTTP 400 with its reason."""
        try:
            check_params(sampling_params)
        except EngineError as error:
            raise ValueError(str(error)) from error

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.device = device
        self.pin_memory = is_pin_memory
        self.vocabulary = vllm_config.model_config.get_vocab_size()
        self.context = vllm_config.model_config.max_model_len
        self.seed = mix(vllm_config.model_config.seed or 0)  # the same on every tensor-parallel rank
        self.finished: OrderedDict[str, Tracked] = OrderedDict()
        self.rows: dict[int, Tracked] = {}
        self.pending: _Pending | None = None
        self._gather()

    def is_argmax_invariant(self) -> bool:
        """It is not: forced tokens bind greedy rows too."""
        return False

    # ---- which requests are in the batch

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """vLLM calls this before each forward pass; `batch_update` is None if the batch is the same."""
        if batch_update and process_dict_updates(self.rows, batch_update, self._track):
            self._gather()

    def _track(self, params: SamplingParams, prompt: list[int] | None, output: list[int]) -> Tracked | None:
        tracked: Tracked | None = getattr(params, "_budget", None)
        if tracked is None:
            budget = request_budget(params)
            if budget is None:
                return None
            tracked = self._new(budget, params, len(prompt or ()))
            params._budget = tracked
        if tracked.owner is not self:  # loaded twice, by name and as a plug-in: the first one works
            return None
        tracked.output = output
        return tracked

    def _new(self, budget: TokenBudget, params: SamplingParams, prompt: int) -> Tracked:
        args = params.extra_args
        draws = SEED in args and params.temperature > 0
        if params.seed is None and not draws:
            self.seed = mix(self.seed)
        seed = args[SEED] if draws else self.seed if params.seed is None else mix(params.seed)
        tracked = Tracked.of(self, fitting(budget, params, self.vocabulary), params, prompt, self.context, seed)
        if NONCE in args:
            self.finished[args[NONCE]] = tracked
            if len(self.finished) > KEPT:
                self.finished.popitem(last=False)
        return tracked

    # ---- one step

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Force what is due and settle whether thinking ends. logits (B, V) float32, changed in place."""
        # 1. the last step's decisions, now that the output shows whether they count
        self.settle()
        if not self.tracked:
            return logits

        # 2. rows whose state may have changed: most need no look for many steps
        lengths = np.fromiter((tracked.length for tracked in self.tracked), np.int64, len(self.tracked))
        for at in np.nonzero((lengths >= self.visit_at) | (lengths < self.visited_at))[0]:
            self._visit(int(at), int(lengths[at]))
        if self.changed:
            self._sort()

        # 3. draw ends of thinking, and all tokens of some rows; then force what a budget has due
        if self.choosing:
            self._choose(logits, lengths[self.watched])
        if len(self.forced_ids):
            _force(logits, self.forced_rows, self.forced_ids)
        return logits

    def _choose(self, logits: torch.Tensor, positions: np.ndarray) -> None:
        """Draw for the watched rows whether the policy ends its thinking, or which token comes."""
        # 1. the policy's choice, by uniform numbers of (seed, position): the same in whatever batch
        rows, policies = self.watched_rows, self.policies
        numbers = self._numbers(self.seeds, positions)
        choice = choose(logits, rows, policies, numbers, _truncate)
        if len(policies.drawn):
            draw_all(logits, rows, policies, numbers, _truncate, choice)
        if len(self.redraws):
            at = torch.from_numpy(self.redraws).to(self.device, non_blocking=True)
            numbers = self._numbers(self.seeds[self.redraws], positions[self.redraws], REDRAW)
            draw_again(logits, rows, policies, at, numbers, _truncate, choice)

        # 2. mask the ends where the engine draws among the other tokens, and where an end is refused without "Wait"
        ended = choice.end >= 0
        mask = (choice.mask | (ended & (self.emits < 0))) & self.active
        ends = (rows[:, None], policies.ends)
        logits[ends] = torch.where(mask[:, None], -torch.inf, logits[ends])

        # 3. force what was drawn: what the budget makes of an end, or the token that was drawn in its place
        thought = torch.where(ended & (self.emits >= 0), self.emits, choice.token)
        answered = torch.where(self.drawing, torch.where(ended, choice.end, choice.token), -1)
        ids = torch.where(self.active, thought, answered)
        if self.device.type == "cpu":
            some = (ids >= 0).nonzero().flatten()
            if len(some):
                _force(logits, rows[some], ids[some])
        else:
            logits[rows] = torch.where((ids >= 0)[:, None], -torch.inf, logits[rows])
            at = (rows, ids.clamp(min=0))
            logits[at] = torch.where(ids >= 0, 0.0, logits[at])
        self.pending = self._copy(choice, positions)

    def _numbers(self, seeds: np.ndarray, positions: np.ndarray, stream: int = 0) -> torch.Tensor:
        return torch.from_numpy(uniform(seeds, positions, stream)).to(self.device, non_blocking=True)

    def _copy(self, choice: Choice, positions: np.ndarray) -> _Pending:
        """The choice on its way to the host: it is read in the next step, when it has long arrived."""
        tracked = [self.tracked[at] for at in self.watched or []]
        fields = choice.end, choice.token, choice.mask, choice.logprob, choice.none
        packed = torch.stack([field.double() for field in fields])
        thinking, drawing = self.on_end[self.watched] > NOT_THINKING, self.draws_answer[self.watched]
        if self.device.type == "cpu":
            return _Pending(tracked, positions, thinking, drawing, packed, None)
        host = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=self.pin_memory)
        host.copy_(packed, non_blocking=True)
        copied = torch.Event()
        copied.record()
        return _Pending(tracked, positions, thinking, drawing, host, copied)

    def settle(self) -> None:
        """Tell the states the last step's decisions, where the output has grown since."""
        pending, self.pending = self.pending, None
        if pending is None:
            return
        if pending.copied is not None:
            pending.copied.synchronize()
        ends, tokens, masks, logprobs, nones = pending.choice.numpy()
        wanted = ends >= 0
        if any(tracked.logprobs for tracked in pending.tracked):
            wanted |= (tokens >= 0) | (masks > 0)
        for at in np.nonzero(wanted & (pending.thinking | pending.drawing))[0]:
            tracked, position = pending.tracked[at], int(pending.positions[at])
            if tracked.length <= position:
                continue
            if pending.drawing[at]:
                if tracked.logprobs:
                    tracked.corrections[position] = float(logprobs[at])
                continue
            state = tracked.state
            if ends[at] >= 0:
                state.advance(position - state.position)
                state.end(int(ends[at]))
                if tracked in self.place:
                    self.visit_at[self.place[tracked]] = 0
            if not tracked.logprobs:
                continue
            is_refused = ends[at] >= 0 and state.refused
            if not is_refused and (tokens[at] >= 0 or ends[at] >= 0):
                tracked.corrections[position] = float(logprobs[at])
            elif is_refused or masks[at]:
                tracked.corrections[position] = float(nones[at])

    # ---- rows as arrays

    def _gather(self) -> None:
        """Start over after the batch changed: every row is looked at in the next step."""
        self.tracked = list(self.rows.values())
        count = len(self.tracked)
        self.row_of = np.fromiter(self.rows, np.int64, count)
        self.place = {tracked: at for at, tracked in enumerate(self.tracked)}
        self.visit_at, self.visited_at = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.due = np.full(count, -1)
        self.on_end = np.full(count, NOT_THINKING)
        self.draws = np.fromiter((tracked.draws for tracked in self.tracked), bool, count)
        self.open = np.ones(count, bool)  # the thinking has not ended, or every token is drawn here
        self.watched: list[int] | None = None
        self.changed = True

    def _visit(self, at: int, length: int) -> None:
        """Bring a row's state to its output's length and note what is due."""
        tracked = self.tracked[at]
        if tracked.state.is_ahead(length):
            tracked.state = tracked.state.rewound(length)
        state = tracked.state
        state.advance(length - state.position)
        due = -1 if state.due is None else state.due
        on_end = NOT_THINKING if not state.thinking else REFUSED if state.on_end is None else state.on_end
        if (due, on_end) != (self.due[at], self.on_end[at]):
            self.due[at], self.on_end[at] = due, on_end
            self.changed = True
        self.open[at] = state.reason is None or self.draws[at]
        self.visited_at[at] = length
        self.visit_at[at] = length + max(state.steady, 1)

    def _sort(self) -> None:
        """Index tensors of the rows that are forced and of those whose policy may end its thinking.

        None waits for the device, where the forward pass is still running.
        """
        self.changed = False
        forced = np.nonzero(self.due >= 0)[0]
        self.forced_rows = torch.from_numpy(self.row_of[forced]).to(self.device, non_blocking=True)
        self.forced_ids = torch.from_numpy(self.due[forced]).to(self.device, non_blocking=True)
        self.draws_answer = self.draws & (self.on_end == NOT_THINKING) & (self.due < 0)
        self.choosing = bool(((self.on_end > NOT_THINKING) | self.draws_answer).any())
        if not self.choosing:
            return
        still = int(self.open.sum())
        if self.watched is None or 2 * still < len(self.watched) or still > self.open[self.watched].sum():
            self._watch(np.nonzero(self.open)[0].tolist())
        on_end = self.on_end[self.watched]
        self.emits = torch.from_numpy(on_end).to(self.device, non_blocking=True)
        self.active = torch.from_numpy(on_end > NOT_THINKING).to(self.device, non_blocking=True)
        self.drawing = torch.from_numpy(self.draws_answer[self.watched]).to(self.device, non_blocking=True)
        self.redraws = np.nonzero((on_end == REFUSED) & self.redrawn)[0]

    def _watch(self, watched: list[int]) -> None:
        """Tensors of the rows that think, "Wait"s included, so that these need no new ones."""
        self.watched = watched
        some = [self.tracked[at] for at in watched]
        self.seeds = np.array([tracked.seed for tracked in some], np.uint64)
        # vLLM would draw another token among what it truncates anew, and the policy's log-probability is not of that
        self.redrawn = np.array([tracked.draws or bool(tracked.sampling.truncations) for tracked in some])
        self.watched_rows = torch.from_numpy(self.row_of[watched]).to(self.device, non_blocking=True)
        self.policies = Policies.of(
            [tracked.state.budget.ends for tracked in some],
            [tracked.sampling for tracked in some],
            [tracked.logprobs for tracked in some],
            self.vocabulary,
            self.device,
            [tracked.draws for tracked in some],
        )


def _force(logits: torch.Tensor, rows: torch.Tensor, ids: torch.Tensor) -> None:
    logits[rows] = -torch.inf
    logits[rows, ids] = 0.0


def _truncate(logits: torch.Tensor, min_p: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """vLLM's own truncation, ties included: min-p, then top-k and top-p."""
    least = logits.amax(1, keepdim=True) + min_p.log()[:, None]
    kept: torch.Tensor = apply_top_k_top_p(logits.masked_fill(logits < least, -torch.inf), top_k, top_p)
    return kept
