"""A chat with another program: a JSON string a line in, JSON objects a line out.

What comes in is a message or a `/command`, as in the terminal. What goes out: `{"ready": true, "thinks": …}` once the
model is there, and whether there is thinking to limit; then for each line pieces `{"kind", "text"}` of the completion
as it grows, where `kind` is "thinking", "forced" or "answer", and at its end one of `{"ending": …}`, `{"said": …}` (a
command) and `{"error": …}`. `/longer` answers as a message does: its pieces are the whole turn, which takes the place
of the one before.
"""

import json
from typing import TextIO

from configs.errors import ConfigError, MullError
from serving.conversation import Conversation, ending
from serving.writer import JsonWriter

STOPPED = "stopped: what was being written is forgotten, the conversation goes on"


def talk(conversation: Conversation, lines: TextIO, out: TextIO) -> None:
    """Answer line after line until there are no more; SIGINT stops one answer."""
    _say(out, ready=True, thinks=conversation.engine.think_format.has_thinking)
    while line := _next_line(lines):
        try:
            reply = _reply(conversation, _message(line), out)
        except MullError as error:
            reply = {"error": str(error)}
        except KeyboardInterrupt:
            reply = {"error": STOPPED}
        _say(out, **reply)


def _next_line(lines: TextIO) -> str:
    """The next line, "" at the end; a SIGINT that comes when an answer is over stops none."""
    while True:
        try:
            return lines.readline()
        except KeyboardInterrupt:
            continue


def _message(line: str) -> str:
    try:
        text = json.loads(line)
    except ValueError:
        text = None
    if not isinstance(text, str):
        raise ConfigError(f"{line.strip()[:40]}: not a JSON string; a message is one, on one line")
    return text


def _reply(conversation: Conversation, text: str, out: TextIO) -> dict[str, str]:
    made = conversation.reply(text, JsonWriter(out, conversation.engine.tokenizer))
    return {"said": made} if isinstance(made, str) else {"ending": ending(made, conversation.engine.think_format)}


def _say(out: TextIO, **values: str | bool) -> None:
    out.write(json.dumps(values) + "\n")
    out.flush()
