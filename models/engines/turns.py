"""An engine whose model acts in an environment: it calls tools, reads what they return, and goes on.

Every turn is a completion of the engine underneath, whose prompt is all that came before, token for token; all
rollouts that are still acting are decoded together. What the environment writes is forced, as a budget's tokens are:
the policy did not choose it, and no loss takes it.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from budget_forcing.budget import least_room
from budget_forcing.sampling import mix
from budget_forcing.tokens import think_tokens
from data.problem import Problem
from data.prompts import render_problem, token_ids
from models.engines.base import Engine, Request
from models.engines.conversation import Conversation, Message
from models.engines.generation import Generation, decode
from models.engines.job import Decoded, Job
from models.environment import Environments
from models.protocols import CausalLM
from models.tool_template import ToolTemplate


@dataclass(eq=False, slots=True)
class Rollout:
    """A completion that grows turn by turn; `room` is how many tokens it may still take."""

    request: int
    sample: int
    asked: Request
    environment: Any
    messages: list[Message]
    prompt: tuple[int, ...]
    room: int
    started: float
    turns: list[Generation] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    forced: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    results: list[tuple[int, int]] = field(default_factory=list)
    answered: int = 0
    """How many messages are the prompt's."""
    calls: int = 0
    failures: int = 0
    is_cut: bool = False

    @property
    def ids(self) -> tuple[int, ...]:
        """All of it so far."""
        return (*self.prompt, *self.tokens)

    def next_turn(self) -> Request:
        """What the engine is asked for next."""
        seed = self.asked.seed
        if seed is not None:
            seed = mix(mix(mix(seed) + self.sample) + len(self.turns))
        return replace(self.asked, prompt=self.ids, max_tokens=self.room, seed=seed, n=1, problem=None)

    def add_turn(self, turn: Generation) -> None:
        """Take what the model wrote."""
        self.turns.append(turn)
        self.tokens += turn.token_ids
        self.forced += turn.forced
        self.logprobs += turn.logprobs
        self.room -= len(turn.token_ids)

    def add_results(self, messages: Sequence[Message], ids: Sequence[int]) -> None:
        """Take what the environment wrote."""
        self.messages += messages
        self.results.append((len(self.tokens), len(self.tokens) + len(ids)))
        self.tokens += ids
        self.forced += [True] * len(ids)
        self.logprobs += [0.0] * len(ids) if self.turns[-1].logprobs else []
        self.room -= len(ids)

    def generation(self, text: str) -> Generation:
        """All turns as one completion; thinking counts in every turn, the answer is the last one's."""
        last = self.turns[-1]
        return replace(
            last,
            request=self.request,
            sample=self.sample,
            prompt_ids=self.prompt,
            token_ids=tuple(self.tokens),
            text=text,
            thinking_tokens=sum(turn.thinking_tokens for turn in self.turns),
            forced=tuple(self.forced),
            logprobs=tuple(self.logprobs),
            finish="length" if self.is_cut else last.finish,
            seconds=time.perf_counter() - self.started,
            probe_tokens=sum(turn.probe_tokens for turn in self.turns),
            shared=sum(turn.shared for turn in self.turns),
            conversation=Conversation(
                prompt=self.messages[: self.answered],
                messages=self.messages[self.answered :],
                results=tuple(self.results),
                calls=self.calls,
                failures=self.failures,
                environment=self.environment,
            ),
        )


class TurnEngine(Engine):
    """`inner` in an environment: requests with a `problem` are rollouts in it, others go to `inner` as they are.

    `max_turns`: most rounds of tool calls of a rollout; None: as many as fit. `at_once`: most rollouts at a time, and
    so most instances of the environment.
    """

    def __init__(
        self,
        inner: Engine,
        environments: Environments,
        template: ToolTemplate,
        max_turns: int | None = None,
        at_once: int = 64,
    ) -> None:
        super().__init__(template.tokenizer, inner.think_format, inner.context, inner.eos)
        self.inner, self.environments, self.template = inner, environments, template
        self.max_turns, self.at_once = max_turns, at_once
        self.name, self.about, self.is_exact = inner.name, inner.about, inner.is_exact

    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        """See `Engine.decode`; no environment takes part."""
        self.inner.decode(jobs, decoded)

    def follow(self, model: CausalLM) -> None:
        """See `Engine.follow`."""
        self.inner.follow(model)

    def parts(self) -> Sequence[Engine]:
        """See `Engine.parts`."""
        return self.inner.parts()

    def close(self) -> None:
        """See `Engine.close`."""
        self.inner.close()

    def stream(self, requests: Sequence[Request], on_done: Callable[[Generation], None]) -> None:
        """See `Engine.stream`. Raises `EngineError` for an environment that fails, or for a prompt without room."""
        plain = [at for at, request in enumerate(requests) if request.problem is None]
        if plain:
            asked = [requests[at] for at in plain]
            self.inner.stream(asked, lambda one: on_done(replace(one, request=plain[one.request])))
        acting = [
            (at, sample, request)
            for at, request in enumerate(requests)
            if request.problem is not None
            for sample in range(request.n)
        ]
        started = time.perf_counter()
        for some in _batched(acting, self.at_once):
            instances = self.environments.take(len(some))
            rollouts = [
                self._begun(at, sample, request, environment, started)
                for (at, sample, request), environment in zip(some, instances, strict=True)
            ]
            self._play(rollouts, on_done)

    def _play(self, rollouts: Sequence[Rollout], on_done: Callable[[Generation], None]) -> None:
        """Let every rollout act until it is over."""
        while rollouts:
            turns = self.inner.generate([rollout.next_turn() for rollout in rollouts])
            going = []
            for rollout, turn in zip(rollouts, turns, strict=True):
                before = rollout.ids
                rollout.add_turn(turn)
                if self._acts(rollout, before):
                    going.append(rollout)
                else:
                    on_done(rollout.generation(decode(self.tokenizer, rollout.tokens)))
            rollouts = going

    def _begun(self, at: int, sample: int, request: Request, environment: Any, started: float) -> Rollout:
        """A rollout after the `reset` of its environment, whose text stands at the end of the question."""
        problem = request.problem
        assert problem is not None
        prompt = tuple(part for part in request.prompt if isinstance(part, int))
        observation = self.environments.reset(environment, row_of(problem), problem)
        if observation or not prompt:
            problem = replace(problem, question=problem.question + observation)
            [ids] = token_ids(self.tokenizer, [render_problem(self.tokenizer, problem, self.think_format)])
            prompt = tuple(ids)
        messages = messages_of(problem)
        room = self.context - len(prompt) if request.max_tokens is None else request.max_tokens
        return Rollout(at, sample, request, environment, messages, prompt, room, started, answered=len(messages))

    def _acts(self, rollout: Rollout, before: Sequence[int]) -> bool:
        """Answer the tool calls of the last turn; whether there are any and the rollout goes on.

        `before`: the ids ahead of that turn. A turn that was cut calls nothing.
        """
        turn = rollout.turns[-1]
        message = self.template.read(turn.token_ids, before)
        rollout.messages.append(message)
        calls = message.get("tool_calls")
        if not calls or turn.finish != "stop":
            return False
        if self.max_turns is not None and len(rollout.turns) > self.max_turns:
            return False
        results = self.environments.call(rollout.environment, calls)
        rollout.calls += len(results)
        rollout.failures += sum(result.has_failed for result in results)
        messages = [{"role": "tool", "name": result.name, "content": result.content} for result in results]
        ids = self.template.answer(messages)
        if rollout.room - len(ids) < self._least(rollout.asked):
            rollout.is_cut = True
            return False
        rollout.add_results(messages, ids)
        return True

    def _least(self, request: Request) -> int:
        """Tokens that a further turn takes at least: one, or what its budget needs."""
        if request.budget is None or not self.think_format.has_thinking:
            return 1
        tokens = think_tokens(self.think_format, self.tokenizer, self.eos)
        return least_room(request.budget, tokens, self.tokenizer)


def row_of(problem: Problem) -> Mapping[str, Any]:
    """What `reset` is given: the problem's row, and its `prompt` in messages, as TRL's data sets have it."""
    return {**problem.row(), "prompt": messages_of(problem)}


def messages_of(problem: Problem) -> list[Message]:
    """A problem as messages, a user's turn last."""
    said: list[Message] = []
    for question, reply in problem.history:
        said += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
    system: list[Message] = [] if problem.system is None else [{"role": "system", "content": problem.system}]
    return [*system, *said, {"role": "user", "content": problem.question}]


def _batched(values: Iterable[Any], size: int) -> Iterable[list[Any]]:
    values = iter(values)
    while some := list(islice(values, size)):
        yield some
