"""What the Runs page says: the list of runs, and one run under way with its curves and its completions."""

import html
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from board import markup, rollouts
from board.accuracy import accuracy_figure
from board.folder import Folder
from board.report_words import translated
from board.row_file import FollowedRows
from board.runs import PRODUCTS, RunLine, find_runs, read_line, read_object
from board.strings import Strings
from configs.errors import RunError
from report import page
from report.samples import Samples
from report.training import live_sections

DRAWING_SHARE = 0.01
"""Of its time a board draws curves this much at most: the run that it shows has the processor."""
LONGEST_PATH = 28
"""Characters of a model's or a data set's name in the list."""
EMBEDDED = "smollm2-135m"
LIST_SECONDS = 5.0
"""The list of runs is read again after so long."""


@dataclass(slots=True)
class _Drawn:
    """A run's figures as they were drawn last: from which state of its files, when, and how long that took."""

    state: tuple[int, ...] = ()
    at: float = 0.0
    took: float = 0.0
    head: str = ""
    curves: str = ""
    rows: FollowedRows = field(default_factory=FollowedRows)


class RunView:
    """Runs below a folder as HTML; one for all browsers that look."""

    def __init__(self, folder: Folder, strings: Strings) -> None:
        self.folder, self.strings = folder, strings
        self._drawn: dict[str, _Drawn] = {}
        self.drawing = threading.Lock()
        """Held while curves are drawn: matplotlib's settings are the process's."""
        self._lines: list[RunLine] = []
        self._listed = 0.0

    def lines(self, seconds: float = LIST_SECONDS) -> list[RunLine]:
        """The runs, as they were so many seconds ago at most."""
        if time.monotonic() - self._listed > seconds or not self._lines:
            self._lines, self._listed = find_runs(self.folder), time.monotonic()
        return self._lines

    def trained(self) -> list[str]:
        """The runs that have a product."""
        return [
            line.name for line in self.lines(0) if any((self.folder.root / line.name / p).is_dir() for p in PRODUCTS)
        ]

    def models(self) -> list[str]:
        """The trained runs, the embedded model, and the models that runs started from."""
        trained = self.trained()
        bases = [line.model for line in self.lines() if line.model and line.stage in ("sft", "grpo")]
        return list(dict.fromkeys([*trained, EMBEDDED, *bases]))

    def table(self, chosen: str | None) -> str:
        """The list of runs; each name is a button with the run's name as `data-run`."""
        say, lines = self.strings, self.lines()
        if not lines:
            return markup.note(say("no_runs", folder=self.folder.root))
        columns = ("run", "state", "stage", "progress", "model", "data", "figure", "left")
        head = "".join(f"<th>{html.escape(say(f'column_{name}'))}</th>" for name in columns)
        body = "".join(self._table_row(line, line.name == chosen) for line in lines)
        return markup.inert(
            f'<div class="mull scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def _table_row(self, line: RunLine, is_chosen: bool) -> str:
        name = html.escape(line.name)
        cells = [
            f'<button class="run" data-run="{name}">{name}</button>',
            f'<span class="state {line.state}">{html.escape(self.strings(f"state_{line.state}"))}</span>',
        ]
        if line.fault:
            cells.append(f'<span class="fault">{html.escape(line.fault)}</span>')
            return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells[:2])}<td colspan=6>{cells[2]}</td></tr>"
        done = f"{line.step:,}" + (f" / {line.steps:,}" if line.steps else "") if line.step else "–"
        figure = self.strings("before", figure=line.headline) if line.is_before else line.headline or "–"
        cells += [html.escape(line.stage), html.escape(done), _short_path(line.model), _short_path(line.data)]
        cells += [html.escape(figure), html.escape(self.duration(line.seconds_left))]
        return f'<tr aria-current="{str(is_chosen).lower()}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'

    def duration(self, seconds: float | None) -> str:
        """ "2 h 05 min", "4 min", "20 s"; a dash where it is unknown."""
        if seconds is None:
            return "–"
        hours, minutes = divmod(round(seconds / 60), 60)
        say = self.strings
        if hours:
            return say("hours", hours=hours, minutes=minutes)
        return say("minutes", minutes=minutes) if minutes else say("seconds", seconds=round(seconds))

    def status(self, name: str) -> str:
        """How far a run is, in one line. Raises `RunError` and `OSError`."""
        line = read_line(self.folder, self.run(name))
        if line.fault:
            return markup.note(self.strings("cant_read", run=name, fault=line.fault), "fault")
        ago = self.duration(max(0.0, time.time() - line.written))
        parts = [self.strings(f"state_{line.state}"), self.strings("written_ago", ago=ago)]
        if line.step:
            of = f" / {line.steps:,}" if line.steps else ""
            parts.insert(1, f"{self.strings('step')} {line.step:,}{of}")
        if line.seconds_left is not None:
            parts.append(self.strings("left", left=self.duration(line.seconds_left)))
        return markup.note(" · ".join(parts))

    def run(self, name: str) -> Path:
        """The folder of the run called `name`. Raises `RunError`."""
        path = self.folder.path(name)
        if not path.is_dir():
            raise RunError(self.strings("gone", run=name))
        return path

    def figures(self, name: str) -> tuple[str, str]:
        """The run's figures with its alarms, and its curves; drawn again at most for a hundredth of the time.

        Raises `RunError` and `OSError`.
        """
        run = self.run(name)
        drawn = self._drawn.setdefault(name, _Drawn())
        state = tuple(size for file in _watched(self.folder, run) for size in _signature(file))
        with self.drawing:
            now = time.monotonic()
            if state == drawn.state or now - drawn.at < drawn.took / DRAWING_SHARE:
                return drawn.head, drawn.curves
            parts = self._sections(run, drawn.rows)
            head, curves = (
                markup.sections([part for part in parts if isinstance(part, page.Figures) == is_figure])
                for is_figure in (False, True)
            )
            drawn.head, drawn.curves = (translated(one, self.strings.language) for one in (head, curves))
            drawn.state, drawn.at = state, time.monotonic()
            drawn.took = drawn.at - now
        return drawn.head, drawn.curves

    def _sections(self, run: Path, rows: FollowedRows) -> Sequence[page.ReportSection]:
        metrics = run / "metrics.jsonl"
        followed = rows.read(metrics) if self.folder.holds(metrics) else []
        try:
            parts = live_sections(followed, read_object(self.folder, run / "summary.json"))
            accuracy = accuracy_figure(self.folder, run)
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # of an older version, or damaged
            return [page.Alarms([self.strings("cant_read", run=run.name, fault=" ".join(str(error).split()))], "")]
        if accuracy is None:
            return parts
        first = [(self.strings("accuracy"), accuracy)]
        return [page.Figures("", [*first, *p.figures]) if isinstance(p, page.Figures) else p for p in parts]

    def completions(self, name: str, wanted: rollouts.Wanted) -> str:
        """The run's completions that are wanted, in a frame with the browser of samples. Raises `RunError`."""
        say = self.strings
        found = rollouts.shown(self.folder, self.run(name), wanted)
        if not found.samples:
            return markup.note(say("no_rollouts", looked=f"{found.looked_at:,}"))
        count = say("shown", shown=len(found.samples), looked=f"{found.looked_at:,}", source=found.source)
        if found.damaged:
            count += " " + say("damaged", damaged=found.damaged)
        group = "step" if found.steps else "point"
        browser = Samples(found.samples, found.source, "", group, words=say.browser_words(), folded=True)
        return markup.note(count) + markup.framed([browser], say("rollouts"), say.language)

    def state_of(self, name: str) -> tuple[int, ...]:
        """A number that changes as completions arrive. Raises `RunError`."""
        file = rollouts.samples_file(self.folder, self.run(name))
        return _signature(file) if file else ()


def _short_path(text: str) -> str:
    """A path's end as HTML, the whole of it where the mouse rests: the last columns stay in sight."""
    if len(text) <= LONGEST_PATH:
        return html.escape(text)
    end = text[-LONGEST_PATH:]
    whole_names = end[max(0, end.find("/", 0, -1)) :]
    return f'<span title="{html.escape(text)}">…{html.escape(whole_names)}</span>'


def _watched(folder: Folder, run: Path) -> list[Path]:
    return [run / name for name in ("metrics.jsonl", "summary.json") if folder.holds(run / name)]


def _signature(file: Path) -> tuple[int, int, int]:
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
