"""A terminal chat with a thinking budget.

    python -m serving.chat --model smollm2-135m --budget high --waits 1

Thinking is dim; a forced "Wait" and a forced end of thinking are marked. `/budget low|medium|high|auto|N`, `/waits N`
and `/reset` change the conversation, Ctrl-C stops an answer, `/quit` or Ctrl-D leaves. It decodes with Transformers,
which starts fastest.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from configs.command import run_command
from configs.errors import ConfigError, MullError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from budget_forcing.budget import Budget
    from budget_forcing.transformers_sampler import BatchRow
    from configs.schema.sections import Section
    from data.think_format import ThinkFormat
    from models.engines.generation import Generation
    from models.engines.transformers import TransformersEngine

NO_THINKING = "think format none: there is no thinking to limit"
PLAIN, DIM, MARK = "\x1b[0m", "\x1b[2m", "\x1b[0;1;33m"


def chat_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m serving.chat", description="Chat with a thinking budget.")
    parser.add_argument("--model", required=True, help="hub id, folder, GGUF file, smollm2-135m, or a run folder")
    parser.add_argument("--adapter", help="folder or hub id of a LoRA adapter")
    parser.add_argument("--think-format", help="s1, deepseek, xml or none; default: the run's own, else the model's")
    parser.add_argument("--precision", default="auto", choices=["auto", "nf4", "int8", "bf16", "fp32"])
    parser.add_argument("--budget", default="auto", help="low, medium, high, auto, or a number of thinking tokens")
    parser.add_argument("--waits", type=int, default=0, help="how many ends of thinking become --wait-text")
    parser.add_argument("--wait-text", default="Wait")
    parser.add_argument("--max-answer", type=int, default=512, help="most answer tokens")
    parser.add_argument("--context", type=int, default=2048, help="prompt, thinking and answer together, in tokens")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=0.95)
    parser.add_argument("--seed", type=int, help="makes the conversation repeatable")
    return parser.parse_args(argv)


def budget_named(name: str, budget: "Budget", context: int) -> "Budget":
    """`budget` with the limit called `name`: an effort level or a number. Raises `ConfigError`."""
    from budget_forcing.budget import EFFORT_SHARES, effort_limit

    if name.isdecimal():
        return replace(budget, max_thinking=int(name))
    if name != "auto" and name not in EFFORT_SHARES:
        raise ConfigError(f"budget: {name!r} is none of {', '.join(EFFORT_SHARES)}, auto, or a number of tokens")
    return replace(budget, max_thinking=effort_limit(name, context, budget.max_answer))


class Writer:
    """Writes one completion as it grows: thinking dim, forced tokens marked; without a terminal, in brackets."""

    def __init__(self, out: TextIO, tokenizer: "PreTrainedTokenizerBase", ansi: bool) -> None:
        self.out, self.tokenizer, self.ansi = out, tokenizer, ansi
        self.shown: list[int] = []  # the tokens written last
        self.pending: list[int] = []
        self.style = ""

    def token(self, row: "BatchRow") -> None:
        """The row's newest token."""
        if row.done:  # the end of the turn
            return
        self._turn(_style(row))
        self.pending.append(row.tokens[-1])
        text = self._text()
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a character may take several tokens
            self._write(text)

    def finish(self) -> None:
        """Back to the terminal's own style, on a new line."""
        self._turn("")
        self.out.write("\n")
        self.out.flush()

    def _text(self) -> str:
        """The pending tokens' text after what is shown: by themselves some decoders would strip their first space."""
        from models.engines.generation import decode

        before = decode(self.tokenizer, self.shown)
        return decode(self.tokenizer, [*self.shown, *self.pending])[len(before) :]

    def _write(self, text: str) -> None:
        if text:
            self.shown = self.pending
        self.pending = []
        self.out.write(text)
        self.out.flush()

    def _turn(self, style: str) -> None:
        if style == self.style:
            return
        if self.pending:
            self._write(self._text())
        if self.ansi:
            self.out.write({"forced": MARK, "thinking": DIM, "answer": PLAIN, "": PLAIN}[style])
        else:
            self.out.write("⟧" * (self.style == "forced") + "⟦" * (style == "forced"))
        self.style = style


def _style(row: "BatchRow") -> str:
    """What the row's newest token belongs to; a model that does not think decodes without a state."""
    state = row.state
    if state is not None and state.forced[-1]:
        return "forced"
    return "answer" if state is None or state.answer_at is not None else "thinking"


@dataclass(slots=True)
class Conversation:
    """An engine, a budget, and the turns so far; earlier thinking is left out of the prompt, as models are trained."""

    engine: "TransformersEngine"
    budget: "Budget"
    sampling: Any
    seed: int | None
    turns: list[dict[str, str]]

    def say(self, text: str, writer: Writer) -> "Generation":
        """Answer `text`, written as it comes. Raises `EngineError` if it no longer fits the context."""
        from models.engines.base import Request

        turns = [*self.turns, {"role": "user", "content": text}]
        seed = None if self.seed is None else self.seed + len(turns)
        self.engine.on_token = lambda at, row: writer.token(row)
        try:
            generation = self.engine.generate([Request(turns, self.sampling, seed=seed, budget=self.budget)])[0]
        finally:
            writer.finish()
        self.turns = [*turns, {"role": "assistant", "content": generation.answer.strip()}]
        return generation

    def command(self, line: str) -> str:
        """Carry out a `/command`; what to tell the user."""
        name, _, value = line[1:].partition(" ")
        if name == "reset":
            self.turns = []
            return "a new conversation"
        if name in ("budget", "waits") and not self.engine.think_format.has_thinking:
            raise ConfigError(f"/{name}: {NO_THINKING}")
        if name == "budget":
            self.budget = budget_named(value.strip(), self.budget, self.engine.context)
            limit = self.budget.max_thinking
            return "thinks for " + ("what the context leaves" if limit is None else f"at most {limit} tokens")
        if name == "waits" and value.strip().isdecimal():
            self.budget = replace(self.budget, num_waits=int(value))
            return f"{value.strip()} ends of thinking become {self.budget.wait_text!r}"
        raise ConfigError(f"{line}: the commands are /budget NAME, /waits N, /reset and /quit")


def checked(section: "type[Section]", options: Mapping[str, str], **values: Any) -> Any:
    """`section` of `values`; where one is refused, a `ConfigError` names its option."""
    from pydantic import ValidationError

    try:
        return section(**values)
    except ValidationError as error:
        first = error.errors()[0]
        option = options[str(first["loc"][0])]
        raise ConfigError(f"{option}: {first['msg']}, found {first['input']!r}") from None


def start(options: argparse.Namespace) -> Conversation:
    """Load the model and settle the budget."""
    from budget_forcing.budget import Budget
    from budget_forcing.tokens import think_tokens
    from configs.schema.sections import ModelConfig, SamplingConfig
    from data.think_format import THINK_FORMATS, ThinkFormat
    from models.engines.transformers import TransformersEngine
    from models.load import load_model
    from training.finished_run import open_run

    name, adapter = options.model, options.adapter
    if options.think_format not in (None, *THINK_FORMATS):
        raise ConfigError(f"--think-format: {options.think_format!r} is none of {', '.join(THINK_FORMATS)}")
    think_format: ThinkFormat | None = None
    if (Path(name) / "config.yaml").is_file():
        if adapter:
            raise ConfigError(f"--adapter: the run {name} has its own; give its base model as --model instead")
        run = open_run(name)
        name = run.config.model.name if run.adapter else str(run.product)
        adapter, think_format = run.adapter and str(run.adapter), run.think_format
    if options.think_format:
        think_format = THINK_FORMATS[options.think_format]
    flags = {"temperature": "--temperature", "top_p": "--top-p", "max_length": "--context"}
    sampling = checked(SamplingConfig, flags, temperature=options.temperature, top_p=options.top_p)
    held = {"precision": options.precision, "max_length": options.context}
    config = checked(ModelConfig, flags, name=name, adapter=adapter, **held)
    budget = Budget(num_waits=options.waits, wait_text=options.wait_text, max_answer=options.max_answer)
    budget = budget_named(options.budget, budget, options.context)
    if think_format is not None:
        _check_budget(options, think_format)
    loaded = load_model(config)
    if think_format is None:
        think_format = think_format_of_model(options.model, loaded.tokenizer)
        _check_budget(options, think_format)
        why = "its chat template opens no thinking that is known here; --think-format names another"
        print("think format: " + (think_format.name if think_format.has_thinking else f"none, {why}"), file=sys.stderr)
    engine = TransformersEngine(loaded.model, loaded.tokenizer, think_format, options.context, batch_size=1)
    if think_format.has_thinking and think_tokens(think_format, engine.tokenizer, engine.eos).texts:
        raise ConfigError(
            f"--think-format: this model's tokenizer splits the delimiters of {think_format.name}; use s1"
        )
    print(f"{loaded.choice}\n/quit leaves", file=sys.stderr)
    return Conversation(engine, budget, sampling, options.seed, [])


def think_format_of_model(model: str, tokenizer: "PreTrainedTokenizerBase") -> "ThinkFormat":
    """s1 for the embedded model; else the format whose opening the chat template writes, or `none`."""
    from budget_forcing.tokens import encode
    from data.think_format import NONE, S1, THINK_FORMATS
    from models.embedded import NAME

    if model == NAME:
        return S1
    template = str(tokenizer.chat_template or "")
    for known in THINK_FORMATS.values():
        is_whole = all(len(encode(tokenizer, end)) == 1 for end in known.end_tokens)
        if known.has_thinking and known.open in template and is_whole:
            return known
    return NONE


def _check_budget(options: argparse.Namespace, think_format: "ThinkFormat") -> None:
    """Raise `ConfigError` for options that limit a thinking which the format does not have."""
    if not think_format.has_thinking:
        for option, value, silent in (("--budget", options.budget, "auto"), ("--waits", options.waits, 0)):
            if value != silent:
                raise ConfigError(f"{option}: {NO_THINKING}; leave it out, or name another --think-format")


def main(argv: list[str]) -> None:
    """Read lines until the user leaves."""
    conversation = start(chat_arguments(argv))
    ansi = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    prompt = "› " if sys.stdin.isatty() and sys.stdout.isatty() else ""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            return
        if line == "/quit":
            return
        try:
            if line.startswith("/"):
                print(conversation.command(line), file=sys.stderr)
            elif line:
                generation = conversation.say(line, Writer(sys.stdout, conversation.engine.tokenizer, ansi))
                print(_ending(generation, conversation.engine.think_format), file=sys.stderr)
        except MullError as error:
            print(f"error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped: this turn is forgotten, the conversation goes on; /quit leaves it", file=sys.stderr)


def _ending(made: "Generation", think_format: "ThinkFormat") -> str:
    """The line below an answer."""
    if not think_format.has_thinking:
        return f"{made.answer_tokens} tokens, ended: {made.finish}"
    return f"{made.thinking_tokens} thinking tokens, ended: {made.stop}"


if __name__ == "__main__":
    run_command(main)
