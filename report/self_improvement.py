"""`report.html` of a self-improvement, from the files that its rounds wrote.

rounds.jsonl            `configs.round_record.RoundRecord`, a line each
round_<n>/posed.jsonl   `configs.round_record.PosedProblem`, a line each
summary.json            why it stopped, once it has
config.yaml             the resolved recipe
"""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from configs.round_record import KEPT, PosedProblem, RoundRecord, read_posed, read_rounds
from report import page, plots

MOST_EXAMPLES = 4
MOST_TEXT = 600
CUT = "…"


def write_self_improvement_report(run_dir: Path) -> Path:
    """Write `report.html` into `run_dir`; its path."""
    rounds = read_rounds(run_dir)
    file = run_dir / "summary.json"
    summary: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    sections: list[page.ReportSection] = [
        _headline(rounds, summary),
        page.Figures("Held-out accuracy", [("by round; hollow: not built upon", _curve(rounds))]),
        _rounds(rounds),
        _fates(rounds),
    ]
    number = 1
    while posed := read_posed(run_dir / f"round_{number}"):  # of a last round too, where nothing was left to train on
        sections.append(_examples(number, posed))
        number += 1
    sections.append(page.Source("Recipe", (run_dir / "config.yaml").read_text(encoding="utf-8"), "config.yaml"))
    path = run_dir / "report.html"
    name = run_dir.resolve()
    page.write(path, f"{name.parent.name} / {name.name}", sections, "self-improvement, round by round")
    return path


def _headline(rounds: Sequence[RoundRecord], summary: Mapping[str, Any]) -> page.Headline:
    """Accuracy before → after, the paired gain, and why it stopped."""
    best = next(record for record in reversed(rounds) if record.is_taken)
    ends = (rounds[0].accuracy, best.accuracy)
    kept, posed = (sum(count(record) for record in rounds) for count in (_kept, _posed))
    cards = [
        ("held-out accuracy", " → ".join(page.percent(end["value"]) for end in ends),
         " → ".join(map(page.percent_bounds, ends))),
        ("problems kept", f"{kept:,} of {posed:,}", "that the rounds posed"),
        ("best round", str(best.number), summary.get("stopped", "goes on")),
    ]  # fmt: skip
    if gain := summary.get("gain"):
        cards.insert(1, ("paired gain, points", f"{100 * gain['value']:+.1f}", page.percent_bounds(gain)))
    return page.Headline(cards)


def _curve(rounds: Sequence[RoundRecord]) -> str:
    stations = [
        plots.Station(str(one.number), one.accuracy["value"], one.accuracy["low"], one.accuracy["high"], one.is_taken)
        for one in rounds
    ]
    return plots.stations("rounds", stations, "round")


def _rounds(rounds: Sequence[RoundRecord]) -> page.Table:
    rows: list[Sequence[page.Cell]] = [
        (
            str(record.number),
            None if record.gain is None else str(record.built_on),
            page.percent_interval(record.accuracy),
            None if record.gain is None else page.points_interval(record.gain),
            record.is_taken,
            record.traces,
            ", ".join(f"{name} {seconds:,.0f}" for name, seconds in record.seconds.items()),
        )
        for record in rounds
    ]
    columns = ("round", "built on", "accuracy", "gain, 95% interval", "taken", "answers trained on", "seconds")
    return page.Table("Rounds", columns, rows, " ".join(f"Round {r.number}: {r.verdict}." for r in rounds))


def _fates(rounds: Sequence[RoundRecord]) -> page.Table:
    """How many problems of each round had which fate."""
    fates = list(dict.fromkeys(fate for record in rounds for fate in record.fates))
    fates.sort(key=lambda fate: fate != KEPT)
    rows: list[Sequence[page.Cell]] = [
        (f"round {record.number}", _posed(record), *(record.fates.get(fate, 0) for fate in fates))
        for record in rounds[1:]
    ]
    return page.Table("What became of the posed problems", ("", "posed", *fates), rows)


def _examples(number: int, posed: Sequence[PosedProblem]) -> page.Table:
    """A few problems of each fate; those that are kept first, with an answer that was trained on."""
    ordered = sorted(posed, key=lambda one: (one.fate != KEPT, one.fate))
    rows: list[Sequence[page.Cell]] = [
        (one.fate, _cut(one.question), one.detail and _cut(one.detail), _cut(one.solution) if fate == KEPT else None)
        for fate, group in groupby(ordered, key=lambda one: one.fate)
        for one in list(group)[:MOST_EXAMPLES]
    ]
    note = f"The first {MOST_EXAMPLES} of each fate; all of them are in round_{number}/posed.jsonl."
    return page.Table(f"Posed in round {number}", ("fate", "problem", "why", "an answer trained on"), rows, note)


def _kept(record: RoundRecord) -> int:
    return record.fates.get(KEPT, 0)


def _posed(record: RoundRecord) -> int:
    return sum(record.fates.values())


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + CUT
