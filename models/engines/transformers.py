"""The Transformers engine: continuous batching in plain PyTorch, on any device and on a live training model too."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from budget_forcing.transformers_sampler import BatchRow, Sampler
from data.think_format import ThinkFormat
from models.engines.base import Engine
from models.engines.generation import decode, end_of_turn
from models.engines.job import Branch, Decoded, Job
from models.engines.peft_internals import decoding_lora
from models.engines.sharing import decode_shared
from models.engines.transformers_internals import decoding_attention, new_cache, refuse_unsloth
from models.engines.trunk import Trunk, fork, left_pad
from models.engines.virtual_tokens import VirtualTokens
from models.protocols import CausalLM

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PREFILL = 16384  # most prompt positions in one forward pass, padding included
STOP_TAIL = 32  # last tokens that are searched for a stop string


class TransformersEngine(Engine):
    """Decodes with a Transformers (or PEFT) model that it shares with whoever else holds it.

    `context` is the most tokens of prompt + completion, `batch_size` the most sequences decoded together. `on_token`,
    where set, is called with a job's index and its row after every token.
    """

    name = "transformers"
    about = "the weights in memory, adapter included"
    on_token: Callable[[int, BatchRow], None] | None = None

    def __init__(
        self,
        model: CausalLM,
        tokenizer: "PreTrainedTokenizerBase",
        think_format: ThinkFormat,
        context: int,
        batch_size: int = 64,
    ) -> None:
        generation = getattr(model.generation_config, "eos_token_id", None)
        super().__init__(tokenizer, think_format, context, end_of_turn(tokenizer, model.config, generation))
        self.model: Any = model  # None once it is closed
        self.batch_size = batch_size
        refuse_unsloth(model)
        new_cache(model)  # refuses what it can't decode, before anything is asked

    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        """See `models.engines.base.Engine.decode`."""
        with evaluating(self.model), decoding_attention(self.model), decoding_lora(self.model):
            decode_shared(self._decode, jobs, decoded, partial(decode, self.tokenizer))

    def _decode(self, jobs: Sequence[Job], branch: Branch) -> None:
        _Decoding(self, jobs, branch).run()

    def close(self) -> None:
        """Let the model go."""
        self.model = None


@contextmanager
def evaluating(model: CausalLM) -> Iterator[None]:
    """No dropout, gradients or gradient checkpointing inside; every module's own mode afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


class _Decoding:
    """One `generate` call: a batch of live rows, and a queue of jobs that fill the places of finished ones."""

    def __init__(self, engine: TransformersEngine, jobs: Sequence[Job], branch: Branch) -> None:
        self.engine = engine
        self.jobs = list(jobs)
        self.branch = branch
        # longest first: the last rows to run alone are short, and prompts of like length share a prefill
        self.waiting = deque(sorted(range(len(jobs)), key=lambda at: (-jobs[at].max_tokens, -len(jobs[at].known))))
        self.branches: deque[tuple[int, Trunk]] = deque()
        self.live: list[int] = []
        self.rows: list[BatchRow] = []
        self.reported: set[int] = set()
        self.virtual = VirtualTokens(engine.model)
        device = engine.model.device
        self.cache: Any = None
        self.mask = torch.zeros(0, 0, dtype=torch.long, device=device)
        self.last = torch.zeros(0, dtype=torch.long, device=device)
        self.lengths = torch.zeros(0, dtype=torch.long, device=device)  # positions taken, padding excluded

    def run(self) -> None:
        """Decode everything."""
        while self.waiting or self.branches or self.live:
            self._fill()
            while self.live and not self._should_refill():
                self._step()
            self._drop_finished()

    def _should_refill(self) -> bool:
        finished = sum(row.done for row in self.rows)
        return finished == len(self.rows) or 4 * finished >= len(self.rows)

    def _fill(self) -> None:
        """Prefill waiting jobs into free places and join them to the live rows; a prompt asked for twice runs once.

        Branches come first: until all of a trunk's have begun, its keys and values are held.
        """
        free = self.engine.batch_size - len(self.live)
        while free and self.branches:
            some = self._alike(free)
            free -= len(some)
            self._go_on(some)
        while free and self.waiting:
            new: list[int] = []
            width = 0
            while self.waiting and len(new) < free:
                length = len(self.jobs[self.waiting[0]].known)
                pads = self.virtual.count and length != width  # between virtual tokens and a prompt no padding stands
                width = max(width, length)
                if new and (width * (len(new) + 1) > PREFILL or pads):
                    break
                new.append(self.waiting.popleft())
            free -= len(new)
            self._prefill(new)

    def _prefill(self, new: list[int]) -> None:
        jobs = [self.jobs[at] for at in new]
        prompts = list(dict.fromkeys(job.known for job in jobs))
        width = max(map(len, prompts))
        device = self.mask.device
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        mask = torch.nn.functional.pad(mask, (self.virtual.count, 0), value=1)
        cache = new_cache(self.engine.model)
        inputs = self.virtual.before(ids, cache)
        logits = self._forward(inputs, mask, (mask.cumsum(1) - 1).clamp(min=0), cache)
        if len(prompts) < len(jobs):
            index = torch.tensor([prompts.index(job.known) for job in jobs], device=device)
            logits, mask = logits[index], mask[index]
            for layer in cache.layers:
                layer.select(index)
        self._join(new, cache, mask, logits)

    def _alike(self, most: int) -> list[tuple[int, Trunk]]:
        """The next branches, at most `most`: none of them is shorter than what another one has new."""
        some: list[tuple[int, Trunk]] = []
        fresh, shortest = 0, math.inf
        while self.branches and len(some) < most:
            at, trunk = self.branches[0]
            known = self.jobs[at].known
            fresh, shortest = max(fresh, len(known) - trunk.shared(known)), min(shortest, len(known))
            if fresh > shortest:
                break
            some.append(self.branches.popleft())
        return some

    def _go_on(self, some: Sequence[tuple[int, Trunk]]) -> None:
        """Join branches to the live rows: their trunks' keys and values, and a forward pass over what is new.

        As many last tokens as the branch with most new ones has are computed for all, so that no row has a gap.
        """
        # 1. how far each goes with its trunk
        known = [self.jobs[at].known for at, _ in some]
        fresh = max(len(its) - trunk.shared(its) for its, (_, trunk) in zip(known, some, strict=True))
        kept = [len(its) - fresh + self.virtual.count for its in known]
        width, device = max(kept), self.mask.device

        # 2. the trunks' keys and values, side by side
        cache = new_cache(self.engine.model)
        fork([trunk for _, trunk in some], kept, cache)

        # 3. what is new
        mask = torch.tensor([[0] * (width - length) + [1] * (length + fresh) for length in kept], device=device)
        ids = torch.tensor([its[len(its) - fresh :] for its in known], device=device)
        logits = self._forward({"input_ids": ids}, mask, (mask.cumsum(1) - 1).clamp(min=0), cache)
        self._join([at for at, _ in some], cache, mask, logits)

    def _join(self, new: list[int], cache: Any, mask: torch.Tensor, logits: torch.Tensor) -> None:
        """Draw the first token of `new` rows and add them to the live ones."""
        rows = [_row(self.jobs[at]) for at in new]
        for at in new:
            self.jobs[at] = replace(self.jobs[at], begun=None)  # its tokens are the row's now
        last = torch.tensor(Sampler(rows, mask.device).step(logits), device=mask.device)
        if self.live:
            width = max(self.mask.shape[1], mask.shape[1])
            for mine, theirs in zip(self.cache.layers, cache.layers, strict=True):
                pairs = zip((mine.keys, mine.values), (theirs.keys, theirs.values), strict=True)
                mine.replace(*(torch.cat([left_pad(a, width), left_pad(b, width)]) for a, b in pairs))
            self.mask = torch.cat([torch.nn.functional.pad(m, (width - m.shape[1], 0)) for m in (self.mask, mask)])
        else:
            self.cache, self.mask = cache, mask
        self.live += new
        self.rows += rows
        self.last = torch.cat([self.last, last])
        self.lengths = torch.cat([self.lengths, mask.sum(1)])
        self.sampler = Sampler(self.rows, self.mask.device)
        self._retire()

    def _step(self) -> None:
        """One token for every live row."""
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        logits = self._forward({"input_ids": self.last[:, None]}, self.mask, self.lengths[:, None], self.cache)
        self.last = torch.tensor(self.sampler.step(logits), device=self.mask.device)
        self.lengths += 1
        self._retire()

    def _forward(
        self, inputs: dict[str, torch.Tensor], mask: torch.Tensor, positions: torch.Tensor, cache: Any
    ) -> torch.Tensor:
        """The logits after the last of `inputs`' columns; `positions` are those of the mask, or of its last columns."""
        [given] = inputs.values()
        # an index, not `logits_to_keep=1`: the slice is a strided view, and a bf16 linear of one takes seconds on a CPU
        last = torch.full((1,), given.shape[1] - 1, device=given.device)
        out = self.virtual.decoder(
            **inputs,
            attention_mask=mask,
            position_ids=positions[:, -given.shape[1] :],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=last,
        )
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def _retire(self) -> None:
        """Report rows that just got a token or ended."""
        on_token = self.engine.on_token
        for place, (at, row) in enumerate(zip(self.live, self.rows, strict=True)):
            job = self.jobs[at]
            if on_token is not None and at not in self.reported:
                on_token(at, row)
            if not row.done and (len(row.tokens) >= job.max_tokens or (job.stop and self._stopped(row, job))):
                row.done = True
            if row.done and at not in self.reported:
                self.reported.add(at)
                self._branch(place, self.branch(at, row.outcome()))

    def _branch(self, place: int, jobs: Sequence[Job]) -> None:
        """Let `jobs` wait with the keys and values of the row at `place`, which has just ended."""
        if not jobs:
            return
        length = self.virtual.count + len(self.jobs[self.live[place]].prompt) + len(self.rows[place].tokens) - 1
        first = int(self.mask[place].argmax())
        ids = (*self.jobs[self.live[place]].prompt, *self.rows[place].tokens[:-1])
        trunk = Trunk.of(ids, self.cache, place, slice(first, first + length))
        self.branches.extend((len(self.jobs) + at, trunk) for at in range(len(jobs)))
        self.jobs += jobs

    def _stopped(self, row: BatchRow, job: Job) -> bool:
        tail = decode(self.engine.tokenizer, row.tokens[-STOP_TAIL:])
        return any(stop in tail for stop in job.stop)

    def _drop_finished(self) -> None:
        """Take finished rows out of the batch, and columns that no row left uses."""
        keep = [at for at, row in enumerate(self.rows) if not row.done]
        self.live = [self.live[at] for at in keep]
        self.rows = [self.rows[at] for at in keep]
        index = torch.tensor(keep, dtype=torch.long, device=self.mask.device)
        self.last, self.lengths, mask = self.last[index], self.lengths[index], self.mask[index]
        if keep:
            first = int(mask.argmax(1).min())
            for layer in self.cache.layers:
                layer.select(index, first)
            self.mask = mask[:, first:]
            self.sampler = Sampler(self.rows, self.mask.device)
        else:
            self.cache, self.mask = None, mask[:, :0]


def _row(job: Job) -> BatchRow:
    begun = ([*job.begun.tokens], [*job.begun.logprobs]) if job.begun else ([], [])
    return BatchRow(
        job.sampling,
        job.seed,
        frozenset(job.ends),
        job.state,
        *begun,
        start=job.start,
        refuse=job.refuse,
        prompt=job.prompt,
    )
