"""Traces on disk as one memory-mapped Arrow table, so that a corpus is never held in memory; and as JSON lines."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.problem import Trace

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = (
    "id",
    "question",
    "thinking",
    "reply",
    "answer",
    "system",
    "history",
    "references",
    "source",
    "grader",
    "key",
    "domain",
    "metadata",
)
"""All strings; `history`, `references` and `metadata` as JSON.

`key` is what rows are told apart by, `Trace.identity`.
"""

_BATCH = 1000


def write_table(path: Path, traces: Iterable[Trace]) -> int:
    """Write an Arrow stream; how many rows it has."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.large_string()) for name in COLUMNS])
    iterator, count = iter(traces), 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        while rows := [_fields(trace) for trace in itertools.islice(iterator, _BATCH)]:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def open_table(path: Path) -> "Dataset":
    """The data set over a file of `write_table`."""
    from datasets import Dataset

    return Dataset.from_file(str(path))


def column(table: "Dataset", name: str, indices: Sequence[int] | None = None) -> list[str]:
    """A column's values, of some rows or of all."""
    import pyarrow as pa

    values = table.data.column(name)
    return list((values if indices is None else values.take(pa.array(indices, pa.int64()))).to_pylist())


def table_traces(table: "Dataset", indices: Iterable[int]) -> Iterator[Trace]:
    """The traces at `indices`, read as they are asked for."""
    iterator = iter(indices)
    while part := list(itertools.islice(iterator, _BATCH)):
        for row in table.data.table.take(part).to_pylist():
            yield _trace(row)


def as_json(trace: Trace) -> str:
    """One line of our own traces layout, which `data.formats` reads back."""
    taken = {*COLUMNS} - {"domain"} - (set() if trace.references else {"references"})  # which may be the row's own
    row = {
        "id": trace.id,
        "question": trace.question,
        "thinking": trace.thinking,
        "reply": trace.reply,
        "answer": trace.answer,
        "system": trace.system,
        "history": [list(pair) for pair in trace.history],
        "references": list(trace.references),
        "source": trace.source,
        "grader": None if trace.grader == "math" else trace.grader,
        "key": trace.key or None,
        **{key: value for key, value in trace.metadata.items() if key not in taken},
    }
    return json.dumps(
        {key: value for key, value in row.items() if value not in (None, [])}, ensure_ascii=False, default=str
    )


def _fields(trace: Trace) -> dict[str, str | None]:
    domain = trace.metadata.get("domain")
    return {
        "id": trace.id,
        "question": trace.question,
        "thinking": trace.thinking,
        "reply": trace.reply,
        "answer": trace.answer,
        "system": trace.system,
        "history": json.dumps(trace.history, ensure_ascii=False),
        "references": json.dumps(trace.references, ensure_ascii=False),
        "source": trace.source,
        "grader": trace.grader,
        "key": trace.identity,
        "domain": None if domain is None else str(domain),
        "metadata": json.dumps(trace.metadata, ensure_ascii=False, default=str),
    }


def _trace(row: dict[str, Any]) -> Trace:
    history = tuple((user, assistant) for user, assistant in json.loads(row["history"]))
    names = ("id", "question", "thinking", "reply", "answer", "system", "source", "grader")
    fields = {name: row[name] for name in names}
    key = "" if row["key"] == row["question"] else row["key"]
    read = {name: json.loads(row[name]) for name in ("references", "metadata")}
    return Trace(**fields, key=key, history=history, references=tuple(read["references"]), metadata=read["metadata"])
