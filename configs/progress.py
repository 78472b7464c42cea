"""How far a long command is, and how long it still takes: a bar on a terminal, a line now and then elsewhere."""

import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Shows `done` of `total`, with an estimate of the time left.

    with Progress("held-out samples", total=1000) as progress:
        progress.update(done=17, note="right 41%")
    """

    def __init__(
        self, name: str, total: int, between_lines: float = SECONDS_BETWEEN_LINES, console: Console | None = None
    ) -> None:
        self.name, self.total, self.between_lines = name, total, between_lines
        self.console = console or Console(stderr=True)
        self.bars = progress_bars(self.console)
        self.task = self.bars.add_task(name, total=total, note="")

    def __enter__(self) -> "Progress":
        self.started = self.last_line = time.monotonic()
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` of `total` are done."""
        self.bars.update(self.task, completed=done, note=note)
        now = time.monotonic()
        if not self.bars.disable or not done or now - self.last_line < self.between_lines:
            return
        self.last_line = now
        left = timedelta(seconds=round((self.total - done) * (now - self.started) / done))
        self.console.print(f"{self.name} {done}/{self.total}  left {left}  {note}".rstrip(), soft_wrap=True)


def progress_bars(console: Console) -> Bars:
    """Bars of tasks that are added with a `note`; disabled where the console is no terminal."""
    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        disable=not console.is_terminal,
    )
