"""What the Data page says of a data set: what it is, bad rows, lengths against the context, and how a model sees it."""

import html
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from board import markup
from board.strings import Strings
from curation.inspection_record import BadRows, Inspection, ShownRow, quantiles
from report import page, plots


@dataclass(frozen=True, slots=True)
class Shown:
    """Rows as a model would see them, as a section; what carries loss stands between ⟦ and ⟧.

    Of problems the gold answer stands below, which the model does not see.
    """

    title: str
    rows: Sequence[ShownRow]
    are_problems: bool
    say: Strings

    def html(self) -> str:
        note = self.say("prompt_note" if self.are_problems else "loss_note")
        return f'<p class="note">{html.escape(note)}</p>{"".join(map(self._row, self.rows))}'

    def _row(self, row: ShownRow) -> str:
        head = html.escape(self.say("row_head", id=row.id, tokens=f"{row.tokens:,}"))
        end = f'<span class="loss">⟦{html.escape(row.completion)}⟧</span>'
        if self.are_problems:
            end = f'<p class="note">{html.escape(self.say("gold_of", gold=row.gold))}</p>'
        return f'<div class="turn"><b>{head}</b>\n{html.escape(row.prompt)}{end}</div>'


def shown(found: Inspection, limit: int, say: Strings, drawing: threading.Lock) -> str:
    """The whole as HTML; `limit`: `model.max_length`; `drawing` is held while the histogram is drawn."""
    if found.fault:
        parts: list[page.ReportSection] = [page.Alarms([found.fault], "")]
        hint = markup.note(say("choose_columns")) if found.columns else ""
        return markup.sections([*parts, page.Summary("", _file_facts(found, say))]) + hint
    parts = [page.Summary("", [*_file_facts(found, say), *_row_facts(found, limit, say)])]
    if warnings := [*found.warnings, *found.residue]:
        parts.append(page.Alarms(warnings, say("data_warnings")))
    if found.bad:
        note = say("bad_problems_note" if found.are_problems else "bad_rows_note")
        parts.append(_bad_rows(say("bad_rows"), found.bad, note, say))
    if found.unread:
        parts.append(_bad_rows(say("unread_golds"), found.unread, say("unread_golds_note"), say))
    if found.lengths:
        with drawing:
            drawn = plots.histogram(
                "lengths",
                found.lengths,
                limit,
                say("tokens"),
                say("column_rows"),
                say("over_limit", limit=f"{limit:,}"),
            )
        parts.append(page.Figures(say("lengths"), [(over_text(found, limit, say), drawn)]))
    if found.shown:
        parts.append(Shown(say("as_model_sees"), found.shown, found.are_problems, say))
    return markup.sections(parts)


def _file_facts(found: Inspection, say: Strings) -> list[tuple[str, page.Cell]]:
    facts: list[tuple[str, page.Cell]] = []
    if found.layout:
        own = found.layout in ("mapping", "problems")
        facts.append((say("layout"), say(f"layout_{found.layout}") if own else found.layout))
    if found.encodings:
        facts.append((say("encoding"), ", ".join(found.encodings)))
    if found.columns:
        facts.append((say("columns"), ", ".join(found.columns)))
    return facts


def _row_facts(found: Inspection, limit: int, say: Strings) -> list[tuple[str, page.Cell]]:
    counts = {"rows": f"{found.rows:,}", "bad": f"{found.rejected:,}"}
    rows = say("rows_found", thinking=f"{found.with_thinking:,}", **counts)
    if found.are_problems:
        rows = say("problems_found", **counts)
    facts: list[tuple[str, page.Cell]] = [
        (say("column_rows"), rows if found.is_whole else f"{rows} {say('not_whole')}")
    ]
    if found.lengths:
        lengths = ", ".join(f"{name} {value:,}" for name, value in quantiles(found.lengths).items())
        facts += [
            (say("prompt_tokens" if found.are_problems else "tokens"), lengths),
            (say("over_limit", limit=f"{limit:,}"), over_text(found, limit, say)),
        ]
    if found.are_problems:
        share = page.percent(found.golds_unread / found.rows)
        unread = say("some_unread", unread=f"{found.golds_unread:,}", rows=f"{found.rows:,}", share=share)
        facts.append((say("golds"), unread if found.unread else say("none_unread")))
    return facts


def over_text(found: Inspection, limit: int, say: Strings) -> str:
    """How many rows don't fit into the context, in words."""
    over = found.over(limit)
    share = page.percent(over / found.rows)
    some, none = ("some_prompts_over", "no_prompts_over") if found.are_problems else ("some_over", "none_over")
    return say(some, over=f"{over:,}", rows=f"{found.rows:,}", share=share) if over else say(none)


def _bad_rows(title: str, bad: Sequence[BadRows], note: str, say: Strings) -> page.Table:
    rows: list[list[page.Cell]] = [
        [one.reason, one.count, ", ".join(one.rows) + (", …" if one.count > len(one.rows) else ""), one.first]
        for one in bad
    ]
    columns = [say("reason"), say("column_rows"), say("at_lines"), say("first_place")]
    return page.Table(title, columns, rows, note)
