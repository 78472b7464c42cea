"""Rows out of JSON, JSONL, CSV and Parquet files, streamed, each with the line it came from.

A file is never held whole: a JSON array is decoded element by element, Parquet in batches. A row that can't be read
comes out as a `Row` with an `error`, so that the caller decides whether to stop or to count it and go on. NaN and
infinities, which JSON itself doesn't have, are None.
"""

import csv
import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from configs.errors import DataError
from data.encoding import detect

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_CHUNK = 1 << 16
_SPACE = " \t\r\n,"
_BYTES = "bytes of another encoding"
_CUT = 16  # characters that a cut literal, number or escape may have
_LONGEST_CELL = 1 << 24  # characters: a quote that is never closed takes no more of the file into memory
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_UNPAIRED = re.compile("[\ud800-\udfff]")
"""Half a character: JSON may escape it, no file can hold it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place in the file (line, or row of a Parquet file; from 1) and its fields, or what is wrong.

    `lines`: how many lines are lost with a broken row, where what is broken hides the end of it.
    """

    line: int
    fields: dict[str, Any]
    error: str | None = None
    lines: int = 1


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
            yield replace(row, error=f"bytes that are not {encoding}") if row.error == _BYTES else row


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
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return Row(line, {}, f"not JSON ({error.msg} at column {error.colno})" if _whole(text) else _BYTES)
    return _row(line, text, value)


def _row(line: int, text: str, value: object) -> Row:
    """The row that `text` was decoded to."""
    if not _whole(text):
        return Row(line, {}, _BYTES)
    if "\\" in text and _ESCAPED.search(text) and _UNPAIRED.search(json.dumps(value, ensure_ascii=False)):
        return Row(line, {}, "half a character (an unpaired surrogate, \\ud800 to \\udfff)")
    if isinstance(value, dict):
        return Row(line, value)
    return Row(line, {}, f"not an object but {type(value).__name__}")


def _float(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _int(text: str) -> int | str:
    """A number with more digits than Python converts stays text."""
    return int(text) if len(text) <= sys.get_int_max_str_digits() else text


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=lambda _: None)


def finite(value: Any) -> Any:
    """The value without NaN and infinities, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list) else value


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
        _DECODER.decode(first)
    except json.JSONDecodeError:
        text = first + file.read()
        whole = _decoded(line, text)  # one object over many lines
        yield _lost(line, line + text.rstrip().count("\n"), whole.error) if whole.error else whole
        return
    yield _decoded(line, first)
    yield from _jsonl(file, first=line + 1)


def _array(file: TextIO, line: int) -> Iterator[Row]:
    """Decode element by element, with a buffer no larger than a chunk and the longest element."""
    buffer, ended = "", False
    while True:
        body = buffer.lstrip(_SPACE)
        line += buffer.count("\n", 0, len(buffer) - len(body))
        buffer = body
        if buffer.startswith("]"):
            yield from _after(file, buffer[1:], line)
            return
        try:
            if not buffer:
                raise json.JSONDecodeError("the array is not closed", "", 0)
            value, end = _DECODER.raw_decode(buffer)
            if end == len(buffer) and not ended:  # a number may go on in the next chunk
                raise json.JSONDecodeError("cut", "", 0)
        except json.JSONDecodeError as error:
            if ended or _hopeless(error):
                last, characters = _rest(file, buffer, line)
                where = f"{characters:,} characters before the end of the file, which were not read"
                yield _lost(line, last, f"not JSON ({error.msg}) {where}")
                return
            chunk = file.read(max(_CHUNK, len(buffer)))
            ended = not chunk
            buffer += chunk
            continue
        yield _row(line, buffer[:end], value)
        line += buffer.count("\n", 0, end)
        buffer = buffer[end:]


def _after(file: TextIO, buffer: str, line: int) -> Iterator[Row]:
    """What follows the end of an array: nothing, or text that is lost."""
    chunk = buffer
    while chunk and not chunk.strip():
        line += chunk.count("\n")
        chunk = file.read(_CHUNK)
    if text := chunk.lstrip():
        line += chunk.count("\n", 0, len(chunk) - len(text))
        last, characters = _rest(file, text, line)
        where = f"{characters:,} characters before the end of the file, which were not read"
        yield _lost(line, last, f"not JSON (text after the end of the array) {where}")


def _hopeless(error: json.JSONDecodeError) -> bool:
    """Whether the text is broken where it stands, and not for being cut: more of it would mend nothing."""
    return error.pos < len(error.doc) - _CUT and not error.msg.startswith("Unterminated string")


def _rest(file: TextIO, buffer: str, line: int) -> tuple[int, int]:
    """(the line it ends on, its characters) of what is left of a file."""
    characters, breaks, tail = 0, 0, ""
    while buffer:
        characters, breaks, tail = characters + len(buffer), breaks + buffer.count("\n"), buffer
        buffer = file.read(_CHUNK)
    return line + breaks - tail.endswith("\n"), characters


def _lost(line: int, last: int, reason: str) -> Row:
    """A broken row that takes all lines up to `last` with it."""
    return Row(line, {}, reason, last - line + 1)


def _csv(file: TextIO, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _lost(line, reader.line_num, f"not CSV ({error})")
            continue
        if not cells:
            continue
        if not header:
            header = [name.strip() for name in cells]
        elif not _whole("".join(cells)):
            yield Row(line, {}, _BYTES)
        elif len(cells) != len(header):
            yield _lost(line, reader.line_num, f"{len(cells)} columns, the header has {len(header)}")
        else:
            yield Row(line, dict(zip(header, cells, strict=True)))


def _whole(text: str) -> bool:
    """Whether all of the text's bytes were characters of its encoding."""
    try:
        return text.isascii() or bool(text.encode())  # faster than a search for what `surrogateescape` left
    except UnicodeEncodeError:
        return False


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        with_floats = [field.name for field in file.schema_arrow if re.search("float|double", str(field.type))]
        line = 0
        for batch in file.iter_batches(batch_size=1000):
            for fields in batch.to_pylist():
                line += 1
                yield Row(line, fields | {name: finite(fields[name]) for name in with_floats})
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a whole Parquet file ({error})") from None
