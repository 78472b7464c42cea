"""Rows of JSON and JSONL files, decoded one by one.

One object that holds a whole table is unpacked: pandas' `to_json()` in each orientation, a list of rows under `data`
or another known name, and several splits, of which one has to be named.
"""

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TextIO

from configs.errors import DataError
from data.row import BYTES_OF_ANOTHER_ENCODING, Row, is_decoded, lost_rows

_CHUNK = 1 << 16
_SPACE = " \t\r\n,\ufeff"
_CUT = 16  # characters that a cut literal, number or escape may have
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_UNPAIRED = re.compile("[\ud800-\udfff]")
"""Half a character: JSON may escape it, no file can hold it."""
_HOLDERS = ("data", "rows", "records", "examples", "instances", "items", "samples")
"""Keys under which one object holds all rows."""
_SPLIT = re.compile(r"(train|test|valid|val|dev|eval)[\w.-]*")


def jsonl_rows(lines: Iterable[str], first: int = 1) -> Iterator[Row]:
    """One row a line that is not blank, counted from `first`; a byte order mark may begin any line."""
    for line, text in enumerate(lines, start=first):
        if bare := text.strip().lstrip("\ufeff"):
            yield _decoded(line, bare)


def _decoded(line: int, text: str) -> Row:
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        if not is_decoded(text):
            return Row(line, {}, BYTES_OF_ANOTHER_ENCODING, reads=text)
        return Row(line, {}, f"not JSON ({error.msg} at column {error.colno})")
    return _row(line, text, value)


def _row(line: int, text: str, value: object) -> Row:
    """The row that `text` was decoded to."""
    if not is_decoded(text):
        return Row(line, {}, BYTES_OF_ANOTHER_ENCODING, reads=text)
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


def json_rows(file: TextIO, split: str | None = None) -> Iterator[Row]:
    """Elements of one array; or one object a line; or the rows that one object holds, or it itself.

    `split`: which of several. Raises `DataError` where one object holds several splits and `split` is none of them.
    """
    head = file.read(1)
    line = 1
    while head and head in " \t\r\n\ufeff":
        line += head == "\n"
        head = file.read(1)
    if head == "[":
        yield from _array(file, line)
    elif head:
        yield from _objects(head, file, line, split)


def _objects(head: str, file: TextIO, line: int, split: str | None) -> Iterator[Row]:
    # 1. an object that goes on over several lines is the only one
    first = head + file.readline()
    try:
        _DECODER.decode(first)
    except json.JSONDecodeError:
        text = first + file.read()
        whole = _decoded(line, text)
        lost = lost_rows(line, line + text.rstrip().count("\n"), whole.error) if whole.error else None
        yield from [lost] if lost else _unpacked(whole, split)
        return
    # 2. one object a line, or one alone
    second = next((text for text in file if text.strip()), None)
    if second is None:
        yield from _unpacked(_decoded(line, first), split)
        return
    yield _decoded(line, first)
    yield from jsonl_rows(chain([second], file), first=line + 1)


def _unpacked(row: Row, split: str | None) -> Iterator[Row]:
    """The rows of a table that one object holds, numbered from 1; `row` itself where it is a row."""
    table = row.fields
    if row.error:
        yield row
        return
    # 1. the rows under one known name, or under the names of splits
    held = [key for key in table if key in _HOLDERS and _is_list_of_objects(table[key])]
    splits = [key for key, value in table.items() if _SPLIT.fullmatch(key) and _is_list_of_objects(value)]
    if len(held) == 1:
        rows = table[held[0]]
    elif splits:
        rows = table[_chosen(splits, split)]
    # 2. pandas' orientations
    elif set(table) in ({"columns", "data"}, {"columns", "data", "index"}):
        rows = [dict(zip(table["columns"], cells, strict=False)) for cells in table["data"]]
    elif _is_by_column(table):
        columns = {name: list(cells.values()) for name, cells in table.items()}
        rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    elif table and all(key.isdecimal() and isinstance(value, dict) for key, value in table.items()):
        rows = list(table.values())
    else:
        yield row
        return
    for number, fields in enumerate(rows, start=1):
        inner = fields.get("row") if set(fields) >= {"row", "row_idx"} else None  # as the hub's viewer serves them
        yield Row(number, inner if isinstance(inner, dict) else fields)


def _chosen(splits: list[str], split: str | None) -> str:
    if len(splits) == 1:
        return splits[0]
    if split in splits:
        return str(split)
    raise DataError(f"it holds several splits ({', '.join(splits)}); name one of them (data.split=NAME)")


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _is_by_column(table: Mapping[str, Any]) -> bool:
    """Whether each key is a column that maps the numbers of the same rows to cells, as `DataFrame.to_json()` writes."""
    columns = list(table.values())
    if not columns or not all(isinstance(column, dict) and column for column in columns):
        return False
    numbers = list(columns[0])
    return all(number.isdecimal() for number in numbers) and all(list(column) == numbers for column in columns)


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
            if ended or _is_hopeless(error):
                last, characters = _rest(file, buffer, line)
                where = f"{characters:,} characters before the end of the file, which were not read"
                yield lost_rows(line, last, f"not JSON ({error.msg}) {where}")
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
        yield lost_rows(line, last, f"not JSON (text after the end of the array) {where}")


def _is_hopeless(error: json.JSONDecodeError) -> bool:
    """Whether the text is broken where it stands, and not for being cut: more of it would mend nothing."""
    return error.pos < len(error.doc) - _CUT and not error.msg.startswith("Unterminated string")


def _rest(file: TextIO, buffer: str, line: int) -> tuple[int, int]:
    """(the line it ends on, its characters) of what is left of a file."""
    characters, breaks, tail = 0, 0, ""
    while buffer:
        characters, breaks, tail = characters + len(buffer), breaks + buffer.count("\n"), buffer
        buffer = file.read(_CHUNK)
    return line + breaks - tail.endswith("\n"), characters
