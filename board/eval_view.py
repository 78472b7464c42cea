"""What the Evaluate page says of a run: accuracy over thinking tokens as it grows, its points, its promise."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from board import markup
from board.eval_points import followed_samples, points_of
from board.report_words import translated, translator
from board.row_file import FollowedRows
from board.run_view import DRAWING_SHARE, RunView
from board.runs import read_object
from configs.budget_file import BUDGET_FILE, budget_section, read_budget_file
from configs.errors import MullError
from configs.schema.promise import BudgetFile
from report import before_after, page, plots, width_depth
from report.evaluation import accuracy_table, curves_of, names_of, optional_interval
from report.page import percent

READING_SHARE = 0.1
"""Of its time a board reads and counts samples this much at most."""
WATCHED = ("samples.jsonl", "results.json", BUDGET_FILE, "promise.json", before_after.COMPARISON_FILE)


@dataclass(slots=True)
class _Pace:
    """How much of the time a piece of work may take: when it was done last, and how long that took."""

    share: float
    at: float = 0.0
    took: float = 0.0

    def is_due(self) -> bool:
        """Whether it may be done again."""
        return time.monotonic() - self.at >= self.took / self.share

    @contextmanager
    def done(self) -> Iterator[None]:
        """Times the work inside."""
        started = time.monotonic()
        yield
        self.at = time.monotonic()
        self.took = self.at - started


@dataclass(slots=True)
class _Followed:
    """A run as it was read and drawn last: from which state of its files, and from which points."""

    rows: FollowedRows = field(default_factory=followed_samples)
    state: tuple[Any, ...] = ()
    points: list[dict[str, Any]] = field(default_factory=list)
    drawn: list[dict[str, Any]] | None = None
    curve: str = ""
    table: str = ""
    reading: _Pace = field(default_factory=lambda: _Pace(READING_SHARE))
    drawing: _Pace = field(default_factory=lambda: _Pace(DRAWING_SHARE))


class EvalView:
    """Evaluations below a folder as HTML; one for all browsers that look."""

    def __init__(self, runs: RunView) -> None:
        self.runs, self.folder, self.say = runs, runs.folder, runs.strings
        self._followed: dict[str, _Followed] = {}

    def shown(self, name: str) -> tuple[str, str]:
        """(the curve, the table of points); while they grow the curve is drawn for a hundredth of the time at most.

        Raises `RunError` and `OSError`.
        """
        run = self.runs.run(name)
        followed = self._followed.setdefault(name, _Followed())
        state = tuple(_signature(run / one) for one in WATCHED if self.folder.holds(run / one))
        with self.runs.drawing:
            if state == followed.state or not followed.reading.is_due():
                return followed.curve, followed.table
            try:
                with followed.reading.done():
                    is_growing = self._read(name, run, followed)
                if followed.points != followed.drawn and (followed.drawing.is_due() or not is_growing):
                    with followed.drawing.done():
                        self._draw(followed)
            except (
                MullError,
                ValueError,
                TypeError,
                KeyError,
                AttributeError,
            ) as error:  # of another version, or damaged
                fault = self.say("cant_read", run=name, fault=" ".join(str(error).split()))
                followed.curve, followed.table = markup.note(fault, "fault"), ""
            is_whole = followed.points == followed.drawn and not followed.rows.is_behind
            followed.state = state if is_whole else ()
            return followed.curve, followed.table

    def _read(self, name: str, run: Path, followed: _Followed) -> bool:
        """The points and their table, anew; whether they are growing."""
        followed.points, is_growing = points_of(self.folder, run, followed.rows)
        sections = [page.Table("", (), (), text) for text in self._promises(run)]
        if any(point["accuracy"] for point in followed.points):
            sections.append(self._table(followed.points, is_growing))
        else:
            sections.append(page.Table("", (), (), self.say("no_samples", run=name)))
        followed.table = markup.sections(sections)
        if not is_growing:
            followed.table += translated(markup.sections(self._at_the_end(run)), self.say.language)
        return is_growing

    def _at_the_end(self, run: Path) -> list[page.ReportSection]:
        """What is known once all samples are there: the comparison, and votes of several samples under each budget."""
        found: list[page.ReportSection] = []
        comparison = read_object(self.folder, run / before_after.COMPARISON_FILE)
        if comparison:
            found += self._compared(comparison)
        results = read_object(self.folder, run / "results.json")
        points = results.get("points", ())
        if any(point["samples"] > point["questions"] for point in points):
            found.append(accuracy_table(points))
        return [*found, *width_depth.tables(results.get("width_depth"), names_of(points))]

    def _compared(self, comparison: dict[str, Any]) -> list[page.Table]:
        """A table a point: each figure of the other run, of this one, and the paired change."""
        other, this = comparison["names"]
        verdict_in = translator(self.say.language)
        title = self.say("against", a=other, b=verdict_in(this))
        return [
            page.Table(
                title + (f": {point['label']}" if len(comparison["points"]) > 1 else ""),
                before_after.columns((other, this)),
                [before_after.table_row(row) for row in point["rows"]],
                verdict_in(point["verdict"]),
            )
            for point in comparison["points"]
        ]

    def _draw(self, followed: _Followed) -> None:
        curves = curves_of(followed.points)
        figure = [(self.say("accuracy_over_tokens"), plots.curve(curves, " "))] if curves else []
        drawn = markup.sections([page.Figures("", figure)]) if figure else ""
        followed.curve = translated(drawn, self.say.language)
        followed.drawn = followed.points

    def _table(self, points: list[dict[str, Any]], is_growing: bool) -> page.Table:
        names = names_of(points)
        columns = [self.say(f"column_{name}") for name in ("budget", "questions", "samples", "accuracy", "thinking")]
        rows: list[list[page.Cell]] = [
            [
                names[point["label"]],
                point["questions"],
                point["samples"],
                optional_interval(point["accuracy"]),
                round(point["thinking_tokens"]["mean"], 1) if point["thinking_tokens"] else None,
            ]
            for point in points
        ]
        return page.Table(self.say("points"), columns, rows, self.say("live") if is_growing else "")

    def _promises(self, run: Path) -> list[str]:
        """What `mull calibrate` proved on this run, and what this run says of a promise."""
        found = []
        if self.folder.holds(run / BUDGET_FILE):
            found.append(self._promised(read_budget_file(run / BUDGET_FILE, BUDGET_FILE)))
        seen = read_object(self.folder, run / "promise.json")
        if loss := seen.get("loss"):
            interval = f"{loss['value']:.1f} [{loss['low']:.1f}, {loss['high']:.1f}]"
            saved = percent(seen["thinking_tokens_saved"])
            found.append(self.say("promise_seen", loss=interval, promised=f"{seen['promised']:g}", saved=saved))
        return [text for text in found if text]

    def _promised(self, content: BudgetFile) -> str:
        promise = content.promise
        if promise is None:
            return ""
        budget = {name: value for name, value in budget_section(content.budget).items() if name != "max_answer"}
        return self.say(
            "promise",
            budget=", ".join(f"{name} {value}" for name, value in budget.items()),
            loss=f"{promise.loss:g}",
            confidence=percent(promise.confidence),
            questions=f"{promise.questions:,}",
            source=promise.benchmark.source,
            saved=percent(promise.saved),
        )


def _signature(file: Path) -> tuple[str, int, int, int]:
    found = file.stat()
    return file.name, found.st_ino, found.st_mtime_ns, found.st_size
