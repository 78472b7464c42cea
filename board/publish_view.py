"""What the Publish page says of a publication: the gate's table as it fills, the card, the files."""

import html
import os
from collections.abc import Iterator
from pathlib import Path

from board import markup
from board.folder import Folder
from board.strings import Strings
from configs.gate_report import GATE_FILE, GateReport, read_gate_report
from report import page

LARGEST_CARD = 200_000
"""So many characters of a card are shown."""
MOST_FILES = 200


class PublishView:
    """Publications below a folder as HTML."""

    def __init__(self, folder: Folder, strings: Strings) -> None:
        self.folder, self.say = folder, strings

    def gate(self, name: str) -> str:
        """The checks so far. Raises `RunError` and `OSError`."""
        file = self.folder.path(name) / "exports" / GATE_FILE
        if not self.folder.holds(file):
            return markup.note(self.say("gate_none"))
        report = read_gate_report(file)
        columns = [self.say(f"column_{name}") for name in ("export", "check", "found", "asked", "verdict")]
        rows = [
            [one.export, one.name, one.figure, one.bound, self.say("gate_yes") if one.passed else self.say("gate_no")]
            for one in report.checks
        ]
        waiting: list[list[page.Cell]] = [[export, "…", None, None, None] for export in report.pending]
        return markup.sections([page.Table(self.say("gate"), columns, [*rows, *waiting], self._verdict(report))])

    def _verdict(self, report: GateReport) -> str:
        if report.failed:
            return self.say("gate_failed", failed=len(report.failed))
        if report.pending or not report.passed:
            return self.say("gate_running", pending=", ".join(report.pending) or "…")
        return self.say("gate_passed")

    def is_ready(self, name: str) -> bool:
        """Whether the folder to be sent is there, of the exports that passed the gate. Raises `RunError`."""
        exports, repository = (self.folder.path(name) / one / GATE_FILE for one in ("exports", "repository"))
        if not (self.folder.holds(exports) and self.folder.holds(repository)):
            return False
        same = exports.read_bytes() == repository.read_bytes()  # else it is an earlier one, about to be replaced
        return same and read_gate_report(exports).passed

    def card(self, name: str) -> str:
        """The card as it is written, and the files beside it. Raises `RunError` and `OSError`."""
        repository = self.folder.path(name) / "repository"
        card = repository / "README.md"
        if not (self.folder.holds(card) and self.is_ready(name)):
            return markup.note(self.say("no_card"))
        with card.open(encoding="utf-8", errors="replace") as file:
            text = html.escape(file.read(LARGEST_CARD))
        files = list(_files(repository))
        columns = [self.say(f"column_{name}") for name in ("file", "bytes")]
        more = len(files) - MOST_FILES
        note = self.say("more_files", more=more) if more > 0 else ""
        table = page.Table("", columns, files[:MOST_FILES], note).html()
        title, summary = html.escape(self.say("card")), html.escape(self.say("files", count=len(files)))
        folded = f"<details><summary>{summary}</summary>{table}</details>"
        return markup.inert(f'<div class="mull"><h2>{title}</h2><pre class="log">{text}</pre>{folded}</div>')


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """(path below the folder, bytes) of every file, links left out."""
    for here, below, names in os.walk(folder):
        below.sort()
        for name in sorted(names):
            path = Path(here) / name
            if not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path.stat().st_size
