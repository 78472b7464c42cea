"""A conversation in a terminal: the model and its budget, and the turns so far."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from transformers import PreTrainedTokenizerBase

from budget_forcing.budget import EFFORT_SHARES, Budget, effort_limit
from budget_forcing.tokens import encode, think_tokens
from configs.budget_file import read_fixed_budget_file
from configs.errors import ConfigError
from configs.schema.promise import Promise
from configs.schema.sections import ModelConfig, SamplingConfig, Section
from data.think_format import NONE, S1, THINK_FORMATS, ThinkFormat
from evaluation.promise import check_promise
from models.embedded import NAME
from models.engines.base import Request
from models.engines.generation import Generation
from models.engines.transformers import TransformersEngine
from models.load import load_model
from serving.think_longer import head_of, joined, longer_budget
from serving.writer import Writer
from training.finished_run import open_run

SAMPLING = SamplingConfig(temperature=0.7, top_p=0.95, repetition_penalty=1.0)
"""What a chat draws with where the command line names nothing else."""
NO_THINKING = "think format none: there is no thinking to limit"


@dataclass(slots=True)
class Conversation:
    """An engine, a budget, and the turns so far; earlier thinking is left out of the prompt, as models are trained.

    `system`: the system message; None: the think format's own, or what the chat template inserts.
    """

    engine: TransformersEngine
    budget: Budget
    sampling: Any
    seed: int | None
    system: str | None
    turns: list[dict[str, str]]
    last: Generation | None = None
    """The newest answer, for as long as it can be thought about longer."""

    def reply(self, line: str, writer: Writer) -> Generation | str:
        """What becomes of a line: a command's text, or an answer, written as it comes. Raises `MullError`."""
        name, _, value = line.partition(" ")
        if name == "/longer":
            return self.think_longer(_more(value.strip()), writer)
        return self.command(line) if line.startswith("/") else self.say(line, writer)

    def say(self, text: str, writer: Writer) -> Generation:
        """Answer `text`, written as it comes. Raises `EngineError` if it no longer fits the context."""
        turns = [*self.turns, {"role": "user", "content": text}]
        seed = None if self.seed is None else self.seed + len(turns)
        head = [] if self.system is None else [{"role": "system", "content": self.system}]
        generation = self._generate(Request([*head, *turns], self.sampling, seed=seed, budget=self.budget), writer)
        self.turns = [*turns, {"role": "assistant", "content": generation.answer.strip()}]
        self.last = generation
        return generation

    def think_longer(self, more: int | None, writer: Writer) -> Generation:
        """The last answer again, after `more` tokens of thinking (None: as many as before), written from its start.

        Raises `ConfigError` without an answer that was thought about, `EngineError` where the context is full.
        """
        if self.last is None or self.last.stop is None:
            raise ConfigError("/longer: there is no answer yet whose thinking could go on")
        earlier = self.last
        head = head_of(earlier, self.budget.wait_text, self.engine)
        budget = longer_budget(self.budget, earlier, head, more, self.engine)
        for token, kind in head.kinds():
            writer.write(token, kind)
        seed = None if self.seed is None else self.seed + len(self.turns) + len(head.token_ids)
        prompt = earlier.prompt_ids + head.token_ids
        later = self._generate(Request(prompt, self.sampling, seed=seed, budget=budget), writer)
        self.last = joined(earlier, head, later, self.engine)
        self.turns = [*self.turns[:-1], {"role": "assistant", "content": self.last.answer.strip()}]
        return self.last

    def _generate(self, request: Request, writer: Writer) -> Generation:
        self.engine.on_token = lambda at, row: writer.token(row)
        try:
            [generation] = self.engine.generate([request])
        finally:
            writer.finish()
        return generation

    def command(self, line: str) -> str:
        """Carry out a `/command`; what to tell the user."""
        name, _, value = line[1:].partition(" ")
        if name == "reset":
            self.turns, self.last = [], None
            return "a new conversation"
        if name == "system":
            self.system, self.turns, self.last = value.strip() or None, [], None
            return "a new conversation, " + ("without a system message" if self.system is None else "under it")
        if name in ("budget", "waits") and not self.engine.think_format.has_thinking:
            raise ConfigError(f"/{name}: {NO_THINKING}")
        if name == "budget":
            self.budget = budget_named(value.strip(), self.budget, self.engine.context)
            limit = self.budget.max_thinking
            return "thinks for " + ("what the context leaves" if limit is None else f"at most {limit} tokens")
        if name == "waits" and value.strip().isdecimal():
            self.budget = replace(self.budget, num_waits=int(value))
            return f"{value.strip()} ends of thinking become {self.budget.wait_text!r}"
        if name == "temperature":
            self.sampling = self._at_temperature(value.strip())
            return f"draws at temperature {self.sampling.temperature:g}"
        raise ConfigError(
            f"{line}: the commands are /longer, /budget NAME, /waits N, /temperature T, /system TEXT, /reset and /quit"
        )

    def _at_temperature(self, text: str) -> SamplingConfig:
        try:
            return SamplingConfig(**{**self.sampling.model_dump(), "temperature": float(text)})
        except ValueError:  # no number, or a negative one
            raise ConfigError(f"/temperature: {text!r} is no number of at least 0") from None


def _more(text: str) -> int | None:
    """The number after `/longer`; None without one. Raises `ConfigError`."""
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"/longer: {text!r} is no number of thinking tokens; give 1 or more, or nothing")
    return int(text)


def checked(section: type[Section], options: Mapping[str, str], **values: Any) -> Any:
    """`section` of `values`; where one is refused, a `ConfigError` names its option."""
    try:
        return section(**values)
    except ValidationError as error:
        first = error.errors()[0]
        option = options[str(first["loc"][0])]
        raise ConfigError(f"{option}: {first['msg']}, found {first['input']!r}") from None


def start(options: argparse.Namespace) -> Conversation:
    """Load the model and settle the budget."""
    name, adapter = options.model, options.adapter
    if options.think_format not in (None, *THINK_FORMATS):
        raise ConfigError(f"--think-format: {options.think_format!r} is none of {', '.join(THINK_FORMATS)}")
    think_format: ThinkFormat | None = None
    if (Path(name) / "config.yaml").is_file():
        if adapter:
            raise ConfigError(f"--adapter: the run {name} has its own; give its base model as --model instead")
        run = open_run(name)
        (name, adapter), think_format = run.weights, run.think_format
    if options.think_format:
        think_format = THINK_FORMATS[options.think_format]
    budget, promise = budget_of(options)
    given = {name: value for name in SAMPLING.model_fields_set if (value := getattr(options, name)) is not None}
    flags = {name: "--" + name.replace("_", "-") for name in SAMPLING.model_fields_set} | {"max_length": "--context"}
    sampling = checked(SamplingConfig, flags, **{**(promise.sampling if promise else SAMPLING).model_dump(), **given})
    held = {"precision": options.precision, "max_length": options.context}
    config = checked(ModelConfig, flags, name=name, adapter=adapter, **held)

    def check(think_format: ThinkFormat) -> None:
        _check_budget(options, think_format)
        if promise is not None:
            check_promise(promise, f"--budget {options.budget}", name, adapter, think_format, sampling)

    if think_format is not None:
        check(think_format)
    loaded = load_model(config)
    if think_format is None:
        think_format = think_format_of_model(options.model, loaded.tokenizer)
        check(think_format)
        why = "its chat template opens no thinking that is known here; --think-format names another"
        print("think format: " + (think_format.name if think_format.has_thinking else f"none, {why}"), file=sys.stderr)
    engine = TransformersEngine(loaded.model, loaded.tokenizer, think_format, options.context, batch_size=1)
    if think_format.has_thinking and think_tokens(think_format, engine.tokenizer, engine.eos).texts:
        raise ConfigError(
            f"--think-format: this model's tokenizer splits the delimiters of {think_format.name}; use s1"
        )
    print(f"{loaded.choice}\n/quit leaves", file=sys.stderr)
    if promise is not None:
        print(f"budget: {promise}. Assumed: {promise.assumption}", file=sys.stderr)
    return Conversation(engine, budget, sampling, options.seed, options.system, [])


def think_format_of_model(model: str, tokenizer: PreTrainedTokenizerBase) -> ThinkFormat:
    """s1 for the embedded model; else the format whose opening the chat template writes, or `none`."""
    if model == NAME:
        return S1
    template = str(tokenizer.chat_template or "")
    for known in THINK_FORMATS.values():
        is_whole = all(len(encode(tokenizer, end)) == 1 for end in known.end_tokens)
        if known.has_thinking and known.open in template and is_whole:
            return known
    return NONE


def _check_budget(options: argparse.Namespace, think_format: ThinkFormat) -> None:
    """Raise `ConfigError` for options that limit a thinking which the format does not have."""
    if not think_format.has_thinking:
        for option, value, silent in (("--budget", options.budget, "auto"), ("--waits", options.waits or 0, 0)):
            if value != silent:
                raise ConfigError(f"{option}: {NO_THINKING}; leave it out, or name another --think-format")


def budget_of(options: argparse.Namespace) -> tuple[Budget, Promise | None]:
    """The budget of the command line, and its promise where it comes from a file. Raises `ConfigError`."""
    words = {"num_waits": options.waits, "wait_text": options.wait_text, "max_answer": options.max_answer}
    given = {name: value for name, value in words.items() if value is not None}
    if Path(options.budget).suffix not in (".yaml", ".yml"):
        return budget_named(options.budget, Budget(**given), options.context), None
    content = read_fixed_budget_file(options.budget)
    if given:
        raise ConfigError(f"--budget {options.budget}: says how it waits and answers; leave out --waits and the like")
    return Budget.from_config(content.budget, options.context), content.promise


def budget_named(name: str, budget: Budget, context: int) -> Budget:
    """`budget` with the limit called `name`: an effort level or a number. Raises `ConfigError`."""
    if name.isdecimal():
        return replace(budget, max_thinking=int(name))
    if name != "auto" and name not in EFFORT_SHARES:
        raise ConfigError(f"budget: {name!r} is none of {', '.join(EFFORT_SHARES)}, auto, or a number of tokens")
    return replace(budget, max_thinking=effort_limit(name, context, budget.max_answer))


def ending(made: Generation, think_format: ThinkFormat) -> str:
    """The line below an answer."""
    if not think_format.has_thinking:
        return f"{made.answer_tokens} tokens, ended: {made.finish}"
    return f"{made.thinking_tokens} thinking tokens, ended: {made.stop}"
