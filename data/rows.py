"""Rows out of JSON, JSONL, CSV, text and Parquet files and spreadsheets, streamed, each with the line it came from.

A file is never held whole: a JSON array is decoded element by element, Parquet in batches (one JSON object that holds a
whole table, and a spreadsheet, are the exceptions). A row that can't be read comes out as a `Row` with an `error`, so
that the caller decides whether to stop or to count it and go on. NaN and infinities, which JSON itself doesn't have,
are None.
"""

import io
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from configs.data_files import COMPRESSIONS, KINDS, SHEETS, data_files, id_prefixes, no_such_file
from configs.errors import DataError
from data.compressed import open_bytes, plain_name
from data.csv_rows import csv_rows
from data.encoding import detect_encoding, in_another_encoding
from data.json_rows import json_rows, jsonl_rows
from data.row import BYTES_OF_ANOTHER_ENCODING, Row, finite
from data.sheet_rows import sheet_rows
from data.text_rows import text_rows

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_HINTS = {".zip": "unpack it", ".tar": "unpack it"}


def read_files(
    path: str | Path, split: str | None = None, columns: Collection[str] = ()
) -> Iterator[tuple[Path, Iterator[Row]]]:
    """Each file that the path names (see `configs.data_files`) with its `read_rows`.

    Of several files each row knows what its id begins with. Raises `DataError` as `data_files` does.
    """
    files = data_files(path)
    if len(files) == 1:
        yield files[0], read_rows(files[0], split=split, columns=columns)
        return
    for file, prefix in zip(files, id_prefixes(files), strict=True):
        yield file, _prefixed(read_rows(file, split=split, columns=columns), prefix)


def _prefixed(rows: Iterator[Row], prefix: str) -> Iterator[Row]:
    return (replace(row, prefix=prefix) for row in rows)


def read_rows(
    path: Path, encoding: str | None = None, split: str | None = None, columns: Collection[str] = ()
) -> Iterator[Row]:
    """Stream a file's rows; `encoding` None: detected; `split`: which one of several that one JSON object holds,
    or which sheet; `columns`: those that are asked for, by number (`column_0`) where a table has no header.

    Raises `DataError` for a missing file, an unknown suffix, or a file that is no text in any known encoding.
    """
    if not path.is_file():
        raise no_such_file(path)
    suffix = Path(plain_name(path)).suffix.lower()
    if suffix not in KINDS:
        known = f"take one of {' '.join(KINDS)}, also with {' '.join(COMPRESSIONS)}"
        raise DataError(f"{path}: unknown kind of file; {_HINTS.get(suffix, known)}")
    if suffix in (".parquet", *SHEETS):
        if path.suffix.lower() in COMPRESSIONS:
            raise DataError(f"{path}: a packed {suffix} file; unpack it")
        yield from _parquet(path) if suffix == ".parquet" else sheet_rows(path, split, columns)
        return
    encoding = encoding or detect_encoding(path)
    with open_bytes(path) as raw:
        file = io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape", newline="")
        try:
            for row in _text_rows(file, path, suffix, split, columns):
                yield _in_encoding(row, encoding)
        except DataError as error:
            raise error if str(path) in str(error) else DataError(f"{path}: {error}") from None


def _in_encoding(row: Row, encoding: str) -> Row:
    """The row, bad where it is in another encoding, with what it would read."""
    if row.error not in (None, BYTES_OF_ANOTHER_ENCODING):
        return row
    if row.error is None and encoding.startswith("utf"):  # UTF-8 of wrong bytes is no text
        return row
    other, text = in_another_encoding(row.reads or json.dumps(row.fields, ensure_ascii=False), encoding)
    if row.error is None and not other:
        return row
    error = f"bytes that are not {encoding}" + (f"; they read as {other}" if other else "")
    return replace(row, fields={}, error=error, reads=text)


def _text_rows(file: TextIO, path: Path, suffix: str, split: str | None, columns: Collection[str]) -> Iterator[Row]:
    match suffix:
        case ".csv":
            return csv_rows(file, None, columns)
        case ".tsv":
            return csv_rows(file, "\t", columns)
        case ".txt":
            return text_rows(file, path, columns)
        case ".json":
            return json_rows(file, split)
        case _:
            return jsonl_rows(file)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = [field.name for field in file.schema_arrow if not _PANDAS_INDEX.fullmatch(field.name)]
        with_floats = [name for name in columns if re.search("float|double", str(file.schema_arrow.field(name).type))]
        line = 0
        for batch in file.iter_batches(batch_size=1000, columns=columns):
            for fields in batch.to_pylist():
                line += 1
                yield Row(line, fields | {name: finite(fields[name]) for name in with_floats})
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a whole Parquet file ({error})") from None
