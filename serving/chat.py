"""A terminal chat with a thinking budget.

    python -m serving.chat --model smollm2-135m --budget high --waits 1

Thinking is dim; a forced "Wait" and a forced end of thinking are marked. `/longer [N]` thinks about the last answer for
as many tokens again, or N: an end that the model chose becomes "Wait". `/budget low|medium|high|auto|N`, `/waits N`,
`/temperature T`, `/system TEXT` and `/reset` change the conversation, Ctrl-C stops an answer, `/quit` or Ctrl-D leaves.
A line that ends with a backslash goes on in the next one. It decodes with Transformers, which starts fastest. `--json`
is the same for another program: a JSON string a line in, and a JSON object a line out (`serving.json_chat`).
"""

import argparse
import os
import sys
from collections.abc import Sequence

from configs.command import run_command
from configs.errors import MullError


def chat_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m serving.chat", description="Chat with a thinking budget.")
    parser.add_argument("--model", required=True, help="hub id, folder, GGUF file, smollm2-135m, or a run folder")
    parser.add_argument("--adapter", help="folder or hub id of an adapter")
    parser.add_argument("--think-format", help="s1, deepseek, xml or none; default: the run's own, else the model's")
    parser.add_argument("--system", help="system message")
    parser.add_argument("--precision", default="auto", choices=["auto", "nf4", "int8", "bf16", "fp32"])
    parser.add_argument(
        "--budget",
        default="auto",
        metavar="BUDGET",
        help="low, medium, high, auto (default), a number of thinking tokens, or a budget.yaml of `mull calibrate`",
    )
    parser.add_argument("--waits", type=int, help="how many ends of thinking become --wait-text (0)")
    parser.add_argument("--wait-text", help='what they become ("Wait")')
    parser.add_argument("--max-answer", type=int, help="most answer tokens (512)")
    parser.add_argument("--context", type=int, default=2048, help="prompt, thinking and answer together, in tokens")
    parser.add_argument("--temperature", type=float, help="0.7, or the promise's of a budget.yaml; so are the next two")
    parser.add_argument("--top-p", type=float, help="0.95")
    parser.add_argument("--repetition-penalty", type=float, help="1; above: less of what was said already")
    parser.add_argument("--seed", type=int, help="makes the conversation repeatable")
    parser.add_argument("--json", action="store_true", help="JSON lines in and out, for another program")
    return parser.parse_args(argv)


def typed_turn(prompt: str) -> str:
    """What the user says next: a line, and where it ends with a backslash the next ones too. Raises `EOFError`."""
    lines = [input(prompt)]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input("… " if prompt else ""))
    return "\n".join(lines).strip()


def main(argv: list[str]) -> None:
    """Read lines until the user leaves."""
    args = chat_arguments(argv)

    from serving.conversation import ending, start
    from serving.json_chat import talk
    from serving.writer import Writer

    conversation = start(args)
    if args.json:
        talk(conversation, sys.stdin, sys.stdout)
        return
    ansi = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    prompt = "› " if sys.stdin.isatty() and sys.stdout.isatty() else ""
    while True:
        try:
            line = typed_turn(prompt)
        except EOFError:
            return
        if line == "/quit":
            return
        try:
            if line:
                made = conversation.reply(line, Writer(sys.stdout, conversation.engine.tokenizer, ansi))
                below = made if isinstance(made, str) else ending(made, conversation.engine.think_format)
                print(below, file=sys.stderr)
        except MullError as error:
            print(f"error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print(
                "stopped: what was being written is forgotten, the conversation goes on; /quit leaves it",
                file=sys.stderr,
            )


if __name__ == "__main__":
    run_command(main)
