"""What generates: requests in, generations out, the same for Transformers, vLLM, Unsloth's and servers elsewhere.

    engine = load_engine(config.engine, config.model, think_format)
    generations = engine.generate([Request(prompt, budget=Budget(max_thinking=512, num_waits=1))])

A budget runs inside the engine where every end of thinking is one token, and in rounds of stopping and prompting again
where the tokenizer splits one (`budget_forcing.rounds`); `Generation.control` says which it was.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from budget_forcing.budget import Budget, resolve
from budget_forcing.budget_state import Outcome
from budget_forcing.rounds import Ask, in_rounds
from budget_forcing.sampling import mix
from budget_forcing.tokens import ThinkTokens, encode, think_tokens
from configs.errors import EngineError
from configs.schema.sections import SamplingConfig
from data.problem import Problem
from data.prompts import render_prompt
from data.think_format import ThinkFormat
from models.engines.generation import Generation, Origin, assistant_turn, decode, generation_of, token_at
from models.engines.job import Decoded, Early, Job
from models.protocols import CausalLM

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
Message = Mapping[str, str]
PLAIN = SamplingConfig()


@dataclass(frozen=True, slots=True)
class Request:
    """What to generate.

    prompt      token ids, or chat messages (`role`, `content`), rendered with the chat template and the think format
    sampling    temperature and truncation; a model's own `generation_config` adds nothing but ends of a turn
    max_tokens  most completion tokens, forced ones included; None: what the context leaves
    seed        sample j draws from (seed, j), whatever else is in the batch; None: torch's global generator decides, or
                with vLLM the one in its process, which starts anew from vLLM's own seed with every engine
    budget      how long to think; None: plain generation
    n           how many samples
    stop        strings that end the completion; it keeps them
    adapter     folder of a LoRA adapter to answer with (vLLM only; a Transformers model answers with its own)
    logprobs    return the policy's log-probabilities; an engine that has them anyway returns them unasked
    problem     what the prompt asks: an engine that acts in an environment resets it with this, and renders the prompt
                again where the environment adds to the question; other engines don't read it
    """

    prompt: Sequence[int] | Sequence[Message]
    sampling: SamplingConfig = PLAIN
    max_tokens: int | None = None
    seed: int | None = None
    budget: Budget | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    adapter: str | None = None
    logprobs: bool = False
    problem: Problem | None = None


class Engine(ABC):
    """Behind it: Transformers, vLLM, or Unsloth's vLLM.

    `context`: most tokens of prompt + completion. `eos`: ids that end a turn.
    """

    name: str
    about: str
    """Whose weights it decodes with."""
    is_exact = True
    """Its log-probabilities are those of the model in training, but for the order of additions."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", think_format: ThinkFormat, context: int, eos: tuple[int, ...]
    ) -> None:
        self.tokenizer = tokenizer
        self.think_format = think_format
        self.context = context
        self.eos = eos

    @abstractmethod
    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        """Decode every job and report each when it ends; what some have in common is decoded once."""

    def follow(self, model: CausalLM) -> None:  # noqa: B027  (most engines share the weights that are trained)
        """From now on answer with the adapter that `model` has at this moment."""

    def parts(self) -> "Sequence[Engine]":
        """Engines of which each answers a part of the requests by itself; this one where it is one."""
        return [self]

    def close(self) -> None:  # noqa: B027  (most engines hold nothing that needs freeing)
        """Free what the engine holds."""

    def generate(
        self, requests: Sequence[Request], on_done: Callable[[Generation], None] | None = None
    ) -> list[Generation]:
        """All samples of all requests, a request's samples side by side; `on_done` gets each as soon as it is there.

        Raises `EngineError` before anything is generated.
        """
        generations: list[Generation] = []

        def take(generation: Generation) -> None:
            generations.append(generation)
            if on_done is not None:
                on_done(generation)

        self.stream(requests, take)
        return sorted(generations, key=lambda generation: (generation.request, generation.sample))

    def stream(self, requests: Sequence[Request], on_done: Callable[[Generation], None]) -> None:
        """`generate` for more than memory holds: nothing is kept of what `on_done` was given."""
        requests = [_unbudgeted(request, self.think_format) for request in requests]
        tokens = self._think_tokens(requests)
        jobs = [job for at, request in enumerate(requests) for job in self._jobs(at, request, tokens)]
        if tokens is None or not tokens.texts:
            self._generate(jobs, self.decode, on_done)
            return
        logger.warning(
            "the tokenizer splits %r: budgets run in rounds of stopping and prompting again, not inside the engine",
            tokens.texts[0],
        )
        plain = [job for job in jobs if job.budget is None]
        forced = [job for job in jobs if job.budget is not None]
        self._generate(plain, self.decode, on_done)
        self._generate(forced, self._rounds, on_done)

    def turn(self, generation: Generation) -> str:
        """The assistant's whole turn as rewards read it; of several the last one."""
        return assistant_turn(generation, self.eos, self.tokenizer, self.think_format)

    def generate_in_rounds(self, requests: Sequence[Request]) -> list[Generation]:
        """`generate` by the reference for every request; each needs a budget. For comparison: it is slower."""
        tokens = self._think_tokens(requests)
        jobs = [job for at, request in enumerate(requests) for job in self._jobs(at, request, tokens)]
        generations: list[Generation] = []
        self._generate(jobs, self._rounds, generations.append)
        return sorted(generations, key=lambda generation: (generation.request, generation.sample))

    def _think_tokens(self, requests: Sequence[Request]) -> ThinkTokens | None:
        if all(request.budget is None for request in requests):
            return None
        return think_tokens(self.think_format, self.tokenizer, self.eos)

    def _jobs(self, at: int, request: Request, tokens: ThinkTokens | None) -> list[Job]:
        prompt = prompt_ids(request.prompt, self.tokenizer, self.think_format)
        room = self.context - len(prompt)
        wanted = 1 if request.max_tokens is None else request.max_tokens
        if not prompt or not 1 <= wanted <= room or request.n < 1:
            raise EngineError(
                f"request {at}: prompt {len(prompt)} + completion {wanted} tokens, n={request.n}: it needs a prompt, a "
                f"token, a sample, and no more than the context of {self.context}; shorten one or raise "
                "model.max_length"
            )
        budget = early = None
        if request.budget is not None and tokens is not None:
            budget = resolve(request.budget, tokens, self.tokenizer, len(prompt), self.context, request.max_tokens)
            early = self._early(request, tokens)
        job = Job(
            request=at,
            sample=0,
            prompt=prompt,
            sampling=request.sampling,
            seed=0,
            max_tokens=room if request.max_tokens is None else request.max_tokens,
            ends=self.eos,
            budget=budget,
            stop=request.stop,
            adapter=request.adapter,
            logprobs=request.logprobs or bool(early and early.rule.confidence),
            stop_when=early,
            seeded=request.seed is not None,
        )
        seed = fresh_seed() if request.seed is None else request.seed
        return [replace(job, sample=j, seed=mix(mix(seed) + j)) for j in range(request.n)]

    def _early(self, request: Request, tokens: ThinkTokens) -> Early | None:
        """When to stop the request's thinking early. Raises `EngineError` where it can't be probed."""
        rule = request.budget and request.budget.stop_when
        if not rule:
            return None
        if tokens.texts or request.stop:
            reason = f"the tokenizer splits {tokens.texts[0]!r}" if tokens.texts else "the request has stop strings"
            raise EngineError(f"budget: stop_when: {reason}, and probes can't be told apart; leave stop_when out")
        return Early(rule, encode(self.tokenizer, rule.final_answer_text))

    def _generate(
        self,
        jobs: Sequence[Job],
        decode: Callable[[Sequence[Job], Decoded], None],
        on_done: Callable[[Generation], None],
    ) -> None:
        started = time.perf_counter()

        def take(at: int, outcome: Outcome) -> None:
            job = jobs[at]
            control = "none" if job.budget is None else "rounds" if decode == self._rounds else "engine"
            seconds = time.perf_counter() - started
            origin = Origin(job.request, job.sample, job.prompt, job.stop, control, seconds)
            on_done(generation_of(outcome, origin, self.eos, self.tokenizer, self.think_format))

        if jobs:
            decode(jobs, take)

    def _rounds(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        """`decode` by stopping and prompting again."""

        def complete(asks: Sequence[Ask]) -> list[tuple[list[int], list[float]]]:
            outcomes: dict[int, Outcome] = {}
            self.decode([_asked(jobs[ask.sequence], ask) for ask in asks], outcomes.__setitem__)
            return [(outcomes[at].tokens, outcomes[at].logprobs) for at in range(len(asks))]

        budgets = [job.budget for job in jobs if job.budget is not None]
        for at, outcome in enumerate(in_rounds(budgets, complete, self.tokenizer)):
            decoded(at, _cut_at_stop(outcome, jobs[at].stop, self.tokenizer))


def _unbudgeted(request: Request, think_format: ThinkFormat) -> Request:
    """`request`, whose budget is the answer's length alone where the format has no thinking.

    Raises `EngineError` for a budget that says more.
    """
    budget = request.budget
    if budget is None or think_format.has_thinking:
        return request
    if budget != Budget(wait_text=budget.wait_text, max_answer=budget.max_answer):
        raise EngineError(f"budget: think format {think_format.name} has no thinking to limit; leave the budget out")
    return replace(request, budget=None, max_tokens=min(budget.max_answer, request.max_tokens or budget.max_answer))


def _cut_at_stop(outcome: Outcome, stops: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> Outcome:
    """`outcome` up to its first stop string, of which a round may have drawn a part, or which a budget forced."""
    text = decode(tokenizer, outcome.tokens)
    stop_ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    return outcome.cut(token_at(outcome.tokens, tokenizer, min(stop_ends))) if stop_ends else outcome


def _asked(job: Job, ask: Ask) -> Job:
    """The job of one round."""
    return replace(
        job,
        prompt=job.prompt + ask.tokens,
        max_tokens=min(ask.max_tokens, job.max_tokens - len(ask.tokens)),
        ends=ask.ends,
        budget=None,
        stop=job.stop + ask.texts,
        start=len(ask.tokens),
        refuse=ask.refuse,
    )


def prompt_ids(
    prompt: Sequence[int] | Sequence[Message], tokenizer: "PreTrainedTokenizerBase", think: ThinkFormat
) -> tuple[int, ...]:
    """Token ids as they are; messages as `data.prompts` renders them. Raises `EngineError` for an odd conversation."""
    ids = tuple(part for part in prompt if isinstance(part, int))
    messages = [part for part in prompt if not isinstance(part, int)]
    if not messages:
        return ids
    return encode(tokenizer, render_messages(messages, tokenizer, think))


def render_messages(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", think: ThinkFormat) -> str:
    """A conversation with a user's turn last, as `data.prompts` renders it. Raises `EngineError` for an odd one."""
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    turns = messages[system is not None :]
    roles = [turn["role"] for turn in turns]
    if roles != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        raise EngineError(f"request: messages of roles {roles}; user and assistant take turns, and a user's comes last")
    texts = [turn["content"] for turn in turns]
    history = list(zip(texts[:-1:2], texts[1:-1:2], strict=True))
    return render_prompt(tokenizer, texts[-1], think, system, history)


def fresh_seed() -> int:
    """A seed from torch's global generator, so that `torch.manual_seed` governs requests without one."""
    import torch

    return int(torch.randint(2**62, ()).item())
