"""What the Compare page says of runs: curves over each other, paired differences, the questions where they differ."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from board import markup
from board.folder import Folder
from board.report_words import translated, translator
from board.row_file import Row, newest_rows
from board.runs import read_object
from board.strings import Strings
from configs.errors import MullError, RunError
from configs.sample import Sample
from evaluation.compare import Comparison, compare_samples, pairs, read_run
from report import page, plots
from report.before_after import beside
from report.evaluation import curves_of
from report.page import percent
from report.samples import Samples, ShownSample, shown_of
from report.training import PLOTS

MOST_RUNS = 6
MOST_ROWS = 20_000
"""Of one run's metrics, the newest."""
PAIRED_FILES = ("samples.jsonl", "heldout_after.jsonl", "heldout_before.jsonl")
"""Where answers are that another run may have been asked for too, the first that is there."""


class CompareView:
    """Two or more runs beside one another as HTML."""

    def __init__(self, folder: Folder, strings: Strings, drawing: threading.Lock) -> None:
        self.folder, self.strings = folder, strings
        self._drawing = drawing

    def show(self, names: Sequence[str]) -> tuple[str, str, str]:
        """(curves, differences to the first run, the questions where the first two differ). Raises `MullError`."""
        say = self.strings
        if not 2 <= len(names) <= MOST_RUNS:
            raise RunError(say("choose_runs", most=MOST_RUNS))
        runs = {name: self.folder.path(name) for name in names}
        with self._drawing:
            curves = translated(markup.sections([page.Figures("", self._figures(runs))]), say.language)
        first, *others = runs.items()
        tables: list[page.ReportSection] = []
        for name, run in others:
            tables += self._difference(*first, name, run)
        differing = self._differing(*first, *others[0])
        return curves, markup.sections(tables), differing

    def _figures(self, runs: Mapping[str, Path]) -> list[tuple[str, str]]:
        """Accuracy over thinking tokens of evaluations, and each figure that two trainings or more wrote by step."""
        found = []
        results = {name: read_object(self.folder, run / "results.json") for name, run in runs.items()}
        curves = {
            name if len(inner) == 1 else f"{name}: {point}": points
            for name, one in results.items()
            for inner in [curves_of(one.get("points", ()))]
            for point, points in inner.items()
        }
        if curves := {name: points for name, points in curves.items() if any(p.tokens > 0 for p in points)}:
            found.append((self.strings("accuracy_over_tokens"), plots.curve(curves, " ")))
        rows = {name: self._metrics(run) for name, run in runs.items()}
        for key in shared_figures(rows):
            caption, unit = PLOTS.get(key, (key, ""))
            steps = sorted({row["step"] for one in rows.values() for row in one})
            by_step = {name: {row["step"]: row.get(key) for row in one} for name, one in rows.items()}
            series = {name: [values.get(step) for step in steps] for name, values in by_step.items() if values}
            found.append((caption, plots.lines(f"compare {key}", steps, series, unit)))
        return found

    def _metrics(self, run: Path) -> list[Row]:
        file = run / "metrics.jsonl"
        rows = list(newest_rows(file, MOST_ROWS)) if self.folder.holds(file) else []
        return [row for row in reversed(rows) if isinstance(row.get("step"), int)]

    def answers(self, name: str, run: Path) -> dict[str, list[Sample]]:
        """The run's answers by point. Raises `RunError` where it has none."""
        file = next((run / one for one in PAIRED_FILES if self.folder.holds(run / one)), None)
        if file is None:
            raise RunError(self.strings("no_answers", run=name))
        return read_run(str(file))

    def _difference(self, name_a: str, run_a: Path, name_b: str, run_b: Path) -> list[page.ReportSection]:
        title = self.strings("against", a=name_a, b=name_b)
        try:
            paired = pairs(self.answers(name_a, run_a), self.answers(name_b, run_b))
            found = [compare_samples(label, *rows) for label, rows in paired.items()]
        except MullError as error:
            return [page.Table(title, (), (), str(error))]
        columns = [self.strings(f"column_{name}") for name in ("budget", "questions")]
        columns += [name_a, name_b, self.strings("column_difference"), self.strings("column_better"), "p"]
        verdict_in = translator(self.strings.language)
        said = [(one.label, verdict_in(one.verdict(name_a, name_b))) for one in found]
        verdicts = " ".join(f"{label}: {text}" if len(found) > 1 else text for label, text in said)
        return [page.Table(title, columns, [_row(one) for one in found], verdicts)]

    def _differing(self, name_a: str, run_a: Path, name_b: str, run_b: Path) -> str:
        """The questions that one of two runs has right and the other wrong, side by side in a frame."""
        try:
            paired = pairs(self.answers(name_a, run_a), self.answers(name_b, run_b))
        except MullError as error:
            return markup.note(str(error))
        shown: list[ShownSample] = []
        for label, (a, b) in paired.items():
            both = beside([shown_of(sample, label) for sample in b], b, a, name_a)
            shown += [one for one in both if one.other is not None and one.other.verdict != one.verdict]
        if not shown:
            return markup.note(self.strings("no_difference", a=name_a, b=name_b))
        words = self.strings.browser_words() | {"this run": name_b}
        browser = Samples(shown, f"{name_b}", "", "point", words=words, folded=True)
        return markup.framed([browser], self.strings("differing"), self.strings.language)


def shared_figures(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """The figures by step that two runs or more have, the main ones first."""
    has: dict[str, set[str]] = {}
    for name, one in rows.items():
        for row in one:
            for key, value in row.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    has.setdefault(key, set()).add(name)
    keys = [key for key, names in has.items() if len(names) > 1]
    wanted = [key for key in PLOTS if key in keys]
    return wanted + [key for key in keys if key.startswith("rewards/") and not key.endswith("/std")]


def _row(one: Comparison) -> list[page.Cell]:
    low, value, high = (100 * x for x in (one.difference.low, one.difference.value, one.difference.high))
    better = f"{one.better} / {one.worse}"
    interval = f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
    return [one.label, one.questions, percent(one.a.value), percent(one.b.value), interval, better, f"{one.p:.3g}"]
