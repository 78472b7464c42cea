"""`mull chat --json` in a process of its own: what the Chat page talks to."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from board.jobs import environment
from configs.errors import EngineError

MOST_PROCESSES = 2
"""So many models are held at once; one more lets the one go that has been silent longest."""


class ChatProcess:
    """One model, one conversation."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.settings = {"budget": "auto", "waits": "0"}
        """What the conversation is set to, by command."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (for as long as the process lives)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "serving.chat", "--json", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._ready: dict[str, Any] = {}
        self._turn = threading.Lock()

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def ask(self, *lines: str) -> Iterator[dict[str, Any]]:
        """What is said to each line, as it comes; a command's reply is kept to itself.

        Raises `EngineError` where a line is refused or the process has ended, with its own last line.
        """
        with self._turn:
            self._wait()
            for line in lines:
                self._send(line)
                while True:
                    found = self._next()
                    if "error" in found:
                        raise EngineError(str(found["error"]))
                    if "said" in found:
                        break
                    yield found
                    if "ending" in found:
                        break

    def thinks(self) -> bool:
        """Whether the model thinks before it answers, once it is there. Raises `EngineError` where it does not load."""
        with self._turn:
            return bool(self._wait()["thinks"])

    def _wait(self) -> dict[str, Any]:
        """What the process said when the model was there."""
        self._ready = self._ready or self._next()
        return self._ready

    def stop(self) -> None:
        """End the answer under way; the conversation goes on."""
        if self._turn.locked() and self.is_alive:
            os.kill(self._process.pid, signal.SIGINT)

    def close(self) -> None:
        """Let the model go."""
        self._process.kill()
        self._process.wait()
        if self._turn.locked():  # whoever reads it finds its end
            return
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise EngineError(self._last_words()) from None

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise EngineError(self._last_words())

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", errors="replace").strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else f"mull chat {shlex.join(self.words)} has ended"


class ChatProcesses:
    """The models that are held, by who talks to them."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], ChatProcess] = {}
        self._change = threading.Lock()

    def of(self, session: str, side: str, words: Sequence[str]) -> ChatProcess:
        """The session's process of one side; another model takes the place of the one before."""
        with self._change:
            key = (session, side)
            found = self._held.pop(key, None)
            if found is not None and (found.words != list(words) or not found.is_alive):
                found.close()
                found = None
            while len(self._held) >= MOST_PROCESSES:
                self._held.pop(next(iter(self._held))).close()
            self._held[key] = found or ChatProcess(words)
            return self._held[key]

    def of_session(self, session: str) -> list[ChatProcess]:
        """The processes that a session talks to."""
        return [process for (owner, _), process in self._held.items() if owner == session]

    def close(self) -> None:
        """Let every model go."""
        for process in self._held.values():
            process.close()
        self._held.clear()
