"""Traces out of whatever a file holds: the layout is detected from its columns, or given by a mapping.

Layouts: s1K rows, `messages`, ShareGPT `conversations`, Alpaca, title/ask/answer, GSM8K, our own traces, plain
question-answer pairs, and documents in a column `text` alone; a `dataset_info.json` that names the file or is beside it
is followed. Files are streamed.
"""

import contextlib
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.suggestion import did_you_mean
from data import dataset_info, layouts
from data.cells import has_column
from data.compressed import plain_name
from data.header import BY_NUMBER, without_header
from data.layouts import UNNAMED, Layout
from data.problem import Trace
from data.row import BadRow, Row
from data.thinking import shared_unknown_tags

log = logging.getLogger("mull.data")

MAPPED = ("question", "thinking", "reply", "answer", "system", "history", "id", "messages", "input", "text")
"""What a mapping may name a column for."""

_LOOKED_AT = 100
_FEWEST = 8  # rows by which labels are told
_TEXTS_A_LABEL = 4
_OWN_FIELDS = ("grader", "key", "references")
"""Of our own traces: what else they say of themselves."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that can't be used: where it is, why, and what it held.

    `lines`: how many lines of the file are lost with it. `expected`: its source is known to have such rows, which are
    left out and are no reason to stop. `reads`: the text of a row in another encoding than its file's.
    """

    file: str
    line: int
    reason: str
    fields: Mapping[str, Any]
    lines: int = 1
    expected: bool = False
    reads: str = ""

    @property
    def place(self) -> str:
        """File and line; source and id for what is no row of a file (line 0)."""
        return f"{self.file}:{self.line or self.fields['id']}"

    @property
    def extent(self) -> str:
        """What it reads in its own encoding and the lines that go with it, for the end of a sentence; "" for most."""
        reads = f": {self.reads}" if self.reads else ""
        return reads + (f"; lines {self.line} to {self.line + self.lines - 1} are lost" if self.lines > 1 else "")

    def as_json(self) -> dict[str, Any]:
        """An object of `rejected.jsonl`."""
        fields = json.loads(json.dumps(dict(self.fields), default=str))
        reads = {"reads": self.reads} if self.reads else {}
        row = {"file": self.file, "line": self.line, "lines": self.lines, "reason": self.reason}
        return {**row, **reads, "fields": fields}


def reject_of(row: Row, file: str, reason: str, expected: bool = False) -> Reject:
    """The row as one that can't be used."""
    return Reject(file, row.line, reason, row.fields, row.lines, expected, row.reads)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose layout is known: `traces` streams it once."""

    layout: str
    traces: Iterator[Trace]


def read(
    path: str | Path, mapping: Mapping[str, str] | None = None, rejected: Callable[[Reject], None] | None = None
) -> Iterator[Trace]:
    """Every trace of a file, in order.

    `mapping` names the file's column for each of `MAPPED`; None detects. A data set of LLaMA-Factory's is
    `FOLDER/dataset_info.json#NAME`; it may be on the hub. Each bad row goes to `rejected`; where that is None the first
    one raises `DataError` with file and line. Raises `DataError` for a missing or empty file, and a layout that
    nobody knows.
    """
    return open_traces(path, mapping, rejected).traces


def open_traces(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    rejected: Callable[[Reject], None] | None = None,
    split: str | None = None,
) -> Opened:
    """The traces, and the layout that they have; `split`: which one of several that one JSON object holds.

    `path` may name several files (see `configs.data_files`), read as one stream; they have one layout.
    """
    found = dataset_info.find(str(path))
    opened = (
        (file, of_rows(file, rows, mapping, rejected, None if mapping else found.layout(file)))
        for file, rows in found.files(split, list((mapping or {}).values()))
    )
    file, first = next(opened)
    return Opened(first.layout, itertools.chain(first.traces, _others(file, first.layout, opened)))


def _others(first: Path, layout: str, opened: Iterator[tuple[Path, Opened]]) -> Iterator[Trace]:
    """The traces of the files after the first. Raises `DataError` for one of another layout."""
    for file, one in opened:
        if one.layout != layout:
            raise DataError(
                f"{file}: its layout is {one.layout}, and that of {first} is {layout}; read files of one layout "
                f"together, by a pattern as {first.with_name('*' + first.suffix)}"
            )
        yield from one.traces


def of_rows(
    origin: Path,
    rows: Iterator[Row],
    mapping: Mapping[str, str] | None = None,
    rejected: Callable[[Reject], None] | None = None,
    known: Layout | None = None,
) -> Opened:
    """`open_traces` for rows that are no file's; `origin` names them in messages, and the traces' ids and source.

    `known`: their layout, where it is not to be detected and there is no `mapping`.
    """
    first = list(itertools.islice(rows, _LOOKED_AT))
    if not first:
        raise DataError(f"{origin}: no rows in it")
    given = _mapped(origin, mapping, first) if mapping else known
    layout = given or layouts.detect_layout([row.fields for row in first if not row.error])
    if layout is None:
        columns = next((list(row.fields) for row in first if not row.error), None)
        said = f"columns {', '.join(sorted(columns))}" if columns is not None else first[0].error
        is_table = Path(plain_name(origin)).suffix.lower() in (".csv", ".tsv")
        hint = without_header(columns or []) or BY_NUMBER * is_table
        way_out = f"give a mapping of {', '.join(MAPPED)} to its columns{hint}"
        raise DataError(f"{origin}: no known layout ({said}); {way_out}")
    _refuse_labels_as_questions(origin, layout, first)
    if layout.is_asked:
        _warn_of_unknown_thinking(origin, layout, [row for row in first if not row.error])
    return Opened(layout.name, _traces(origin, layout, itertools.chain(first, rows), rejected or stop))


def _traces(file: Path, layout: Layout, rows: Iterator[Row], rejected: Callable[[Reject], None]) -> Iterator[Trace]:
    stem = Path(plain_name(file)).stem
    is_own = layout.name == "traces"
    for row in rows:
        try:
            if row.error:
                raise BadRow(row.error)
            turn = layout.convert(row.fields)
            if layout.is_asked and not turn.question:
                raise BadRow("empty question")
            if not turn.reply:
                raise BadRow("empty answer" if layout.is_asked else "empty text")
        except BadRow as error:
            rejected(reject_of(row, str(file), str(error)))
            continue
        own = _own_fields(row.fields, turn.answer) if is_own else {}
        yield Trace(
            id=row.id_of(turn.id or str(row.fields.get("id") or ""), stem),
            question=turn.question,
            thinking=turn.thinking,
            reply=turn.reply,
            source=str(row.fields["source"]) if is_own and "source" in row.fields else file.name,
            answer=turn.answer,
            system=turn.system,
            history=turn.history,
            metadata={name: value for name, value in turn.metadata.items() if name not in own},
            grader=str(own.get("grader") or "math"),
            key=str(own.get("key") or ""),
            references=tuple(own.get("references") or ()),
        )


def _own_fields(fields: Mapping[str, Any], answer: str | None) -> dict[str, Any]:
    """What a row of our own traces says of itself; references begin with its answer, another list is the user's own."""
    own = {name: fields[name] for name in _OWN_FIELDS if name in fields}
    references = own.get("references")
    if not (
        isinstance(references, list) and references[:1] == [answer] and all(isinstance(r, str) for r in references)
    ):
        own.pop("references", None)
    return own


def stop(reject: Reject) -> None:
    """What becomes of a bad row unless somebody takes it. Raises `DataError`, but for one that is expected."""
    if not reject.expected:
        raise DataError(f"{reject.place}: {reject.reason}{reject.extent}; mend or remove the row")


def _mapped(file: Path, mapping: Mapping[str, str], first: Sequence[Row]) -> Layout:
    """The layout that the mapping spells out. Raises `DataError` for a key or a column that does not exist."""
    for key in mapping:
        if key not in MAPPED:
            raise DataError(f"{file}: unknown mapping key {key!r}; {did_you_mean(key, MAPPED, str(MAPPED))}")
    if "messages" in mapping:
        if strange := sorted(mapping.keys() & {"question", "reply", "history", "input"}):
            raise DataError(
                f"{file}: the mapping names messages, which hold its {strange[0]} too; leave one of them out"
            )
    elif "text" in mapping:
        if strange := sorted(mapping.keys() - {"text", "id"}):
            raise DataError(f"{file}: the mapping names a document's text and {strange[0]} too; leave one of them out")
    elif not {"question", "reply"} <= set(mapping):
        raise DataError(f"{file}: a mapping names at least question and reply, or messages, or text")
    rows = [row.fields for row in first if not row.error]
    for key, column in mapping.items():
        if rows and not any(has_column(row, column) for row in rows):
            known = list(dict.fromkeys(name for row in rows for name in row))
            raise DataError(f"{file}: no column {column!r} for {key}; it has {', '.join(known)}{without_header(known)}")
    if "text" in mapping:
        return layouts.documents(mapping)
    make = layouts.conversation if "messages" in mapping else layouts.columns
    return make(names=mapping, name="mapping")


def _refuse_labels_as_questions(origin: Path, layout: Layout, rows: Sequence[Row]) -> None:
    """Raises `DataError` for two columns without names where the first holds the few labels of the second's texts."""
    if layout.name != UNNAMED:
        return
    asked, said = ({row.fields[f"column_{i}"] for row in rows if not row.error} for i in (0, 1))
    if len(rows) >= _FEWEST and len(asked) * _TEXTS_A_LABEL <= len(said):
        raise DataError(
            f"{origin}: column_0 looks like labels ({', '.join(sorted(asked)[:3])}) of the texts in column_1; "
            "say which one asks: data.fields.question=column_1 data.fields.reply=column_0, or the other way round"
        )


def _warn_of_unknown_thinking(origin: Path, layout: Layout, rows: Sequence[Row]) -> None:
    """Say which tags many replies share, where these look like thinking that nobody here knows."""
    replies: list[str] = []
    for row in rows:
        with contextlib.suppress(BadRow):
            turn = layout.convert(row.fields)
            replies += [] if turn.thinking else [turn.reply]
    if tags := shared_unknown_tags(replies):
        log.warning(
            "%s: replies begin with %s … %s, which are no thinking delimiters known here and are trained as part of "
            "the answer; if they are thinking, write <think> … </think> instead, or a column `thinking`",
            origin,
            *tags,
        )
