"""Rows out of JSON, JSONL, CSV and Parquet files, streamed, each with the line it came from.

A file is never held whole: a JSON array is decoded element by element, Parquet in batches. A row that can't be read
comes out as a `Row` with an `error`, so that the caller decides whether to stop or to count it and go on.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from configs.errors import DataError
from data.encoding import UNDECODED, detect

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_CHUNK = 1 << 16
_SPACE = " \t\r\n,"
_BYTES = "bytes of another encoding"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place in the file (line, or row of a Parquet file; from 1) and its fields, or what is wrong."""

    line: int
    fields: dict[str, Any]
    error: str | None = None


def read_rows(path: Path, encoding: str | None = None) -> Iterator[Row]:
    """Stream a file's rows; `encoding` None: detected.

    Raises `DataError` for a missing file, an unknown suffix, or a file that is no text in any known encoding.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: unknown kind of file; take one of {' '.join(SUFFIXES)}")
    if suffix == ".parquet":
        yield from _parquet(path)
        return
    encoding = encoding or detect(path)
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        for row in _text_rows(file, suffix):
            yield Row(row.line, {}, f"bytes that are not {encoding}") if row.error == _BYTES else row


def _text_rows(file: TextIO, suffix: str) -> Iterator[Row]:
    if suffix in (".csv", ".tsv"):
        return _csv(file, "\t" if suffix == ".tsv" else ",")
    if suffix == ".json":
        return _json(file)
    return _jsonl(file, first=1)


def _jsonl(file: TextIO, first: int) -> Iterator[Row]:
    for line, text in enumerate(file, start=first):
        if text.strip():
            yield _decoded(line, text)


def _decoded(line: int, text: str) -> Row:
    if not _whole(text):
        return Row(line, {}, _BYTES)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return Row(line, {}, f"not JSON ({error.msg} at column {error.colno})")
    return _row(line, value)


def _row(line: int, value: object) -> Row:
    if isinstance(value, dict):
        return Row(line, value)
    return Row(line, {}, f"not an object but {type(value).__name__}")


def _json(file: TextIO) -> Iterator[Row]:
    """Elements of one array; or, for a `.json` that holds one object a line, those; or one single object."""
    head = file.read(1)
    line = 1
    while head and head in " \t\r\n":
        line += head == "\n"
        head = file.read(1)
    if head == "[":
        yield from _array(file, line)
    elif head:
        yield from _objects(head, file, line)


def _objects(head: str, file: TextIO, line: int) -> Iterator[Row]:
    first = head + file.readline()
    try:
        json.loads(first)
    except json.JSONDecodeError:
        yield _decoded(line, first + file.read())  # one object over many lines
        return
    yield _decoded(line, first)
    yield from _jsonl(file, first=line + 1)


def _array(file: TextIO, line: int) -> Iterator[Row]:
    """Decode element by element, with a buffer no larger than a chunk and the longest element."""
    decoder = json.JSONDecoder()
    buffer, ended = "", False
    while True:
        body = buffer.lstrip(_SPACE)
        line += buffer.count("\n", 0, len(buffer) - len(body))
        buffer = body
        if buffer.startswith("]"):
            return
        try:
            if not buffer:
                raise json.JSONDecodeError("the array is not closed", "", 0)
            value, end = decoder.raw_decode(buffer)
            if end == len(buffer) and not ended:  # a number may go on in the next chunk
                raise json.JSONDecodeError("cut", "", 0)
        except json.JSONDecodeError as error:
            if ended:
                yield Row(line, {}, f"not JSON ({error.msg}); the file ends or breaks here, nothing after it was read")
                return
            chunk = file.read(max(_CHUNK, len(buffer)))
            ended = not chunk
            buffer += chunk
            continue
        yield _row(line, value) if _whole(buffer[:end]) else Row(line, {}, _BYTES)
        line += buffer.count("\n", 0, end)
        buffer = buffer[end:]


def _csv(file: TextIO, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, {}, f"not CSV ({error})")
            continue
        if not cells:
            continue
        if not header:
            header = [name.strip() for name in cells]
        elif not _whole("".join(cells)):
            yield Row(line, {}, _BYTES)
        elif len(cells) != len(header):
            yield Row(line, {}, f"{len(cells)} columns, the header has {len(header)}")
        else:
            yield Row(line, dict(zip(header, cells, strict=True)))


def _whole(text: str) -> bool:
    """Whether all of the text's bytes were characters of its encoding."""
    return text.isascii() or not UNDECODED.search(text)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        line = 0
        for batch in file.iter_batches(batch_size=1000):
            for fields in batch.to_pylist():
                line += 1
                yield Row(line, fields)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a whole Parquet file ({error})") from None
