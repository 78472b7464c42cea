"""What the buttons of a page do with a command and its run: each says in place what is wrong."""

import html as escaping
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import gradio as gr

from board import markup
from board.jobs import Jobs, output_of
from board.recipe_form import Launch, resumed
from board.run_view import RunView
from board.runs import read_line
from configs.errors import MullError

LOG_SECONDS = 2.0


def log_box(text: str) -> str:
    """A text as it was written."""
    return markup.inert(f'<div class="mull"><pre class="log">{escaping.escape(text)}</pre></div>') if text else ""


def in_place(text_of: Callable[[], str]) -> str:
    """A text as HTML, or what is wrong in its place."""
    try:
        return text_of()
    except (MullError, OSError) as error:
        return markup.note(str(error), "fault")


def changes(now: Sequence[Any], seen: Sequence[Any]) -> list[Any]:
    """What is shown now; what stands there already is left alone."""
    return [new if new != old else gr.skip() for new, old in zip(now, seen, strict=True)]


class Form(Protocol):
    """What the buttons need of a form."""

    def launch(self, *values: Any) -> Launch: ...


class RunActions:
    """What the buttons of a form and of a run do: each says in place what is wrong."""

    def __init__(self, runs: RunView, jobs: Jobs, form: Form) -> None:
        self.runs, self.jobs, self.form, self.say = runs, jobs, form, runs.strings

    def command(self, *values: Any) -> str:
        """The command to copy."""
        return in_place(lambda: log_box(self.form.launch(*values).typed()))

    def plan(self, *values: Any) -> Iterator[str]:
        """What `--dry-run` prints."""
        yield from self.output(lambda: [*self.form.launch(*values).words, "--dry-run"])

    def doctor(self, *values: Any) -> Iterator[str]:
        """What `mull doctor` finds."""

        def words() -> list[str]:
            launch = self.form.launch(*values)
            if launch.stage != "grpo":
                raise MullError(self.say("no_doctor"))
            return ["rl.doctor", *launch.words[1:]]

        yield from self.output(words)

    def output(self, words: Callable[[], list[str]]) -> Iterator[str]:
        """What a command prints, as it does."""
        try:
            yield log_box("…")
            for text in output_of(words()):
                yield log_box(text)
        except (MullError, OSError) as error:
            yield markup.note(str(error), "fault")

    def start(self, *values: Any) -> tuple[str, Any]:
        """Start the form's command; (what happened, the list of runs with the new one chosen)."""
        try:
            job = self.jobs.start(self.form.launch(*values))
        except (MullError, OSError) as error:
            return markup.note(str(error), "fault"), gr.skip()
        return markup.note(self.say("started", run=job.run)), gr.Dropdown(choices=self._names(), value=job.run)

    def stop(self, name: str | None) -> str:
        """Ask a run to end."""

        def stopped() -> str:
            self.jobs.stop(name or "")
            return markup.note(self.say("stopping", run=name))

        return in_place(stopped)

    def resume(self, name: str | None) -> str:
        """Go on with a run, by its own recipe."""

        def started() -> str:
            stage = read_line(self.runs.folder, self.runs.run(name or "")).stage
            self.jobs.start(resumed(self.runs.folder, name or "", stage), resume=True)
            return markup.note(self.say("started", run=name))

        return in_place(started)

    def follow(self, name: str | None, seen: tuple[str, str]) -> tuple[Any, ...]:
        """(what the run's process is doing, the end of its log, both to compare with next time)."""
        now = self.followed(name) if name else ("", "")
        return *changes(now, seen), now

    def followed(self, name: str) -> tuple[str, str]:
        """(what the run's process is doing, the end of its log)."""
        try:
            job = self.jobs.job(name)
            is_alive = job is not None and self.jobs.is_alive(name)
            text = self.say("under_way", pid=job.pid) if job and is_alive else self.say("not_under_way")
            return markup.note(f"{name}: {text}"), log_box(self.jobs.tail(name))
        except (MullError, OSError) as error:
            return markup.note(str(error), "fault"), ""

    def listed(self, chosen: str | None) -> gr.Dropdown:
        """The list of runs as it is now."""
        names = self._names()
        return gr.Dropdown(choices=names, value=chosen if chosen in names else (names[0] if names else None))

    def _names(self) -> list[str]:
        """What a board started first, then the other runs."""
        return list(dict.fromkeys([*self.jobs.runs(), *(line.name for line in self.runs.lines(0))]))
