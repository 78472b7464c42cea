"""Traces out of whatever a file holds: the layout is detected from its columns, or given by a mapping.

Layouts: s1K rows, `messages`, ShareGPT `conversations`, Alpaca, title/ask/answer, GSM8K, our own traces, plain
question-answer pairs, and documents in a column `text` alone; a LLaMA-Factory `dataset_info.json` beside the file is
followed. Files are streamed.
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
from data import layouts
from data.cells import has_column
from data.compressed import plain_name
from data.layouts import Layout
from data.problem import Trace
from data.row import BadRow, Row
from data.rows import read_rows
from data.thinking import shared_unknown_tags

log = logging.getLogger("mull.data")

MAPPED = ("question", "thinking", "reply", "answer", "system", "history", "id", "messages", "input", "text")
"""What a mapping may name a column for."""

_LOOKED_AT = 100
_OWN_FIELDS = ("grader", "key")
"""Of our own traces: what else they say of themselves."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that can't be used: where it is, why, and what it held.

    `lines`: how many lines of the file are lost with it. `expected`: its source is known to have such rows, which are
    left out and are no reason to stop.
    """

    file: str
    line: int
    reason: str
    fields: Mapping[str, Any]
    lines: int = 1
    expected: bool = False

    @property
    def place(self) -> str:
        """File and line; source and id for what is no row of a file (line 0)."""
        return f"{self.file}:{self.line or self.fields['id']}"

    @property
    def extent(self) -> str:
        """The lines that go with it, for the end of a sentence; "" for a row of one line."""
        return f"; lines {self.line} to {self.line + self.lines - 1} are lost" if self.lines > 1 else ""

    def as_json(self) -> dict[str, Any]:
        """An object of `rejected.jsonl`."""
        fields = json.loads(json.dumps(dict(self.fields), default=str))
        return {"file": self.file, "line": self.line, "lines": self.lines, "reason": self.reason, "fields": fields}


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose layout is known: `traces` streams it once."""

    layout: str
    traces: Iterator[Trace]


def read(
    path: str | Path, mapping: Mapping[str, str] | None = None, rejected: Callable[[Reject], None] | None = None
) -> Iterator[Trace]:
    """Every trace of a file, in order.

    `mapping` names the file's column for each of `MAPPED`; None detects. A `dataset_info.json` is read as
    `FOLDER/dataset_info.json#NAME`. Each bad row goes to `rejected`; where that is None the first one raises
    `DataError` with file and line. Raises `DataError` for a missing or empty file, and a layout that nobody knows.
    """
    return open_traces(path, mapping, rejected).traces


def open_traces(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    rejected: Callable[[Reject], None] | None = None,
    split: str | None = None,
) -> Opened:
    """The traces, and the layout that they have; `split`: which one of several that one JSON object holds."""
    file, layout = registered(str(path))
    return of_rows(file, read_rows(file, split=split), mapping, rejected, layout)


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
        columns = next((sorted(row.fields) for row in first if not row.error), None)
        said = f"columns {', '.join(columns)}" if columns is not None else first[0].error
        raise DataError(f"{origin}: no known layout ({said}); give a mapping of {', '.join(MAPPED)} to its columns")
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
            rejected(Reject(str(file), row.line, str(error), row.fields, row.lines))
            continue
        yield Trace(
            id=turn.id or str(row.fields.get("id") or f"{stem}-{row.line}"),
            question=turn.question,
            thinking=turn.thinking,
            reply=turn.reply,
            source=str(row.fields["source"]) if is_own and "source" in row.fields else file.name,
            answer=turn.answer,
            system=turn.system,
            history=turn.history,
            metadata={name: value for name, value in turn.metadata.items() if not (is_own and name in _OWN_FIELDS)},
            grader=str(row.fields.get("grader") or "math") if is_own else "math",
            key=str(row.fields.get("key") or "") if is_own else "",
        )


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
            known = ", ".join(dict.fromkeys(name for row in rows for name in row))
            raise DataError(f"{file}: no column {column!r} for {key}; it has {known}")
    if "text" in mapping:
        return layouts.documents(mapping)
    make = layouts.conversation if "messages" in mapping else layouts.columns
    return make(names=mapping, name="mapping")


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


def registered(path: str) -> tuple[Path, Layout | None]:
    """The file to read and its layout, if a LLaMA-Factory registry says so. Raises `DataError`."""
    registry, hashed, name = path.partition("#")
    if hashed and Path(registry).name == "dataset_info.json":
        entries = _registry(Path(registry))
        if name not in entries:
            hint = did_you_mean(name, entries, f"{len(entries)} are registered")
            raise DataError(f"{registry}: no data set {name!r}; {hint}")
        if "file_name" not in entries[name]:
            raise DataError(f"{registry}#{name}: not a local file; download it and give its path")
        file = Path(registry).parent / entries[name]["file_name"]
        return file, _entry_layout(f"{registry}#{name}", entries[name])
    file = Path(path)
    if file.name == "dataset_info.json":
        raise DataError(f"{file}: a registry of data sets; name one: {file}#NAME")
    registry_file = file.parent / "dataset_info.json"
    if registry_file.is_file():
        for name, entry in _registry(registry_file).items():
            if entry.get("file_name") == file.name and (entry.get("columns") or entry.get("formatting")):
                return file, _entry_layout(f"{registry_file}#{name}", entry)
    return file, None


def _registry(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable dataset_info.json ({error})") from None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise DataError(f"{path}: not a dataset_info.json; it holds one object of objects")
    return entries


def _entry_layout(where: str, entry: Mapping[str, Any]) -> Layout:
    """LLaMA-Factory's `columns` and `tags`, with its defaults."""
    if entry.get("ranking"):
        raise DataError(f"{where}: a preference data set (chosen and rejected), not one for SFT")
    if seen := next((kind for kind in ("images", "videos", "audios") if (entry.get("columns") or {}).get(kind)), None):
        raise DataError(f"{where}: a data set with {seen}, which no model here sees; name one of text alone")
    columns, tags = dict(entry.get("columns") or {}), dict(entry.get("tags") or {})
    if entry.get("formatting") == "sharegpt":
        roles: Sequence[tuple[str, str]] = [
            (tags[f"{role}_tag"], role) for role in ("user", "assistant", "system") if f"{role}_tag" in tags
        ]
        names = {"messages": columns.get("messages", "conversations")}
        names |= {"system": columns["system"]} if "system" in columns else {}
        return layouts.conversation(
            names,
            name=f"dataset_info {where.rpartition('#')[2]}",
            role=tags.get("role_tag"),
            content=tags.get("content_tag"),
            roles=dict(roles),
        )
    names = {"question": columns.get("prompt", "instruction"), "input": columns.get("query", "input")}
    names["reply"] = columns.get("response", "output")
    names |= {key: columns[key] for key in ("system", "history") if key in columns}
    return layouts.columns(f"dataset_info {where.rpartition('#')[2]}", names)
