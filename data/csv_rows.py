"""Rows of a CSV file, whatever separates its columns."""

import csv
import itertools
import logging
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TextIO

from configs.errors import DataError
from data.header import names_columns, numbered_columns
from data.row import BYTES_OF_ANOTHER_ENCODING, Row, is_decoded, lost_rows

log = logging.getLogger("mull.data")

DELIMITERS = (",", ";", "\t", "|")
_LONGEST_CELL = 1 << 24  # characters: a quote that is never closed takes no more of the file into memory
_LONGEST_HEADER = 1 << 16
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_INDEX = re.compile(r"|Unnamed: 0")
"""The header that pandas gives the column of its index."""


def csv_rows(file: TextIO, delimiter: str | None = None, columns: Collection[str] = ()) -> Iterator[Row]:
    """Every row below the header; `delimiter` None: told by Excel's `sep=` line, else by the header.

    `columns`: those that are asked for; where some are numbered and the first row does not name them, there is no
    header, and it is a row: of `column_0`, `column_1`, ….
    The unnamed first column of pandas' index is left out, and so is a header that comes again.
    """
    csv.field_size_limit(_LONGEST_CELL)
    lines = (line.removeprefix("\ufeff") for line in file)
    above = 0  # lines over the header
    first = next(lines, "")
    if named := _SEPARATOR_LINE.fullmatch(first):
        delimiter, above, first = named[1], 1, next(lines, "")
    delimiter = delimiter or delimiter_of(first)
    for row in _rows(itertools.chain([first], lines), delimiter, columns):
        yield replace(row, line=row.line + above) if above else row


def delimiter_of(header: str) -> str:
    """What splits the header into the most columns; a comma where nothing does."""
    head = header[:_LONGEST_HEADER]
    delimiter = max(DELIMITERS, key=lambda one: len(next(csv.reader([head], delimiter=one), [])))
    if delimiter != ",":
        log.info("columns are separated by %r, as the header shows", delimiter)
    return delimiter


def _rows(lines: Iterator[str], delimiter: str, columns: Collection[str]) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield lost_rows(line, reader.line_num, f"not CSV ({error})")
            continue
        if not cells:
            continue
        names = [name.strip() for name in cells]
        if not header and not is_decoded("".join(cells)):
            raise DataError(f"line {line}: the header is in another encoding than the rows; convert the file to UTF-8")
        if not header:
            header = names
            if names_columns(names, columns):
                continue
            header = numbered_columns(len(cells))
        if not is_decoded("".join(cells)):
            yield Row(line, {}, BYTES_OF_ANOTHER_ENCODING, reads=delimiter.join(cells))
        elif len(cells) != len(header):
            yield lost_rows(line, reader.line_num, f"{len(cells)} columns, the header has {len(header)}")
        elif names != header:
            is_index = bool(_INDEX.fullmatch(header[0]))
            yield Row(line, dict(zip(header[is_index:], cells[is_index:], strict=True)))
