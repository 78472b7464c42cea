"""Rows of a spreadsheet: Excel's `.xlsx` and `.xls`, OpenDocument's `.ods`."""

import html
import logging
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

from configs.errors import DataError
from data.header import names_columns, numbered_columns
from data.row import Row

log = logging.getLogger("mull.data")

_ODS_SHEET = re.compile(r'<table:table\b[^>]*\btable:name="([^"]*)".*?</table:table>', re.DOTALL)
_ODS_MERGED_DOWNWARDS = re.compile(r'table:number-rows-spanned="(?!1")')


def sheet_rows(path: Path, name: str | None = None, columns: Collection[str] = ()) -> Iterator[Row]:
    """Every row below the header, with its number in the sheet; rows of a cell merged downwards each have its value.

    A row of a cell merged across columns is an error: whose value it is can't be told. The header is the first row that
    is neither empty nor merged across. `name`: which sheet, where several hold something; `columns`: those that are
    asked for, by number where there is no header. Dates are ISO text; an empty cell is None. Raises `DataError` for a
    file that is no spreadsheet, and where the sheet is not clear.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(path))
        held = {title: book.get_sheet_by_name(title) for title in book.sheet_names}
    except (CalamineError, OSError) as error:
        raise DataError(f"{path}: not a whole spreadsheet ({' '.join(str(error).split())})") from None
    sheet = held[_chosen(path, [title for title in held if held[title].height], name)]
    if path.suffix.lower() == ".ods" and _is_merged_downwards(path, sheet.name):
        raise DataError(f"{path}: it has cells merged downwards, which can't be told in .ods; save it as .xlsx")
    ranges = sheet.merged_cell_ranges or ()
    across = {
        row: cells for cells in ranges if cells[0][1] < cells[1][1] for row in range(cells[0][0], cells[1][0] + 1)
    }
    table = sheet.to_python(skip_empty_area=False)
    if filled := _filled(table, ranges):
        log.warning("%s: %d cells are part of one merged downwards and have its value", path, filled)
    header: list[str] = []
    for at, cells in enumerate(table):
        if not any(cell != "" for cell in cells):
            continue
        if not header and at in across:
            continue  # a title, merged over its table
        if not header:
            header = [str(cell).strip() for cell in cells]
            if names_columns(header, columns):
                continue
            header = numbered_columns(len(cells))
        if at in across:
            (first, left), (last, right) = across[at]
            where = f"rows {first + 1} to {last + 1}, columns {left + 1} to {right + 1}"
            yield Row(at + 1, {}, f"a merged cell ({where}); unmerge it and fill its cells")
        else:
            yield _row(at + 1, header, cells)


def _is_merged_downwards(path: Path, name: str) -> bool:
    """Whether a sheet of an `.ods` file has such cells; python-calamine finds them in Excel's files alone."""
    with zipfile.ZipFile(path) as file:
        content = file.read("content.xml").decode("utf-8", "replace")
    sheets = (sheet for sheet in _ODS_SHEET.finditer(content) if html.unescape(sheet[1]) == name)
    return any(_ODS_MERGED_DOWNWARDS.search(sheet[0]) for sheet in sheets)


def _filled(table: list[list[Any]], ranges: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> int:
    """Writes the value of each cell merged downwards into the rows below its first; how many cells that are."""
    filled = 0
    for (first, left), (last, right) in ranges:
        if left == right and first < len(table) and left < len(table[first]):  # what is outside is empty
            below = table[first + 1 : last + 1]
            for row in below:
                row[left] = table[first][left]
            filled += len(below)
    return filled


def _chosen(path: Path, names: Sequence[str], name: str | None) -> str:
    if name in names:
        return str(name)
    if not names:
        raise DataError(f"{path}: no rows in it")
    if name is not None or len(names) > 1:
        raise DataError(f"{path}: it holds the sheets {', '.join(names)}; name one of them (data.split=NAME)")
    return names[0]


def _row(line: int, header: Sequence[str], cells: Sequence[Any]) -> Row:
    unnamed = [at for at, (title, cell) in enumerate(zip(header, cells, strict=True)) if not title and cell != ""]
    if unnamed and unnamed != [0]:  # the first may be pandas' index
        return Row(line, {}, f"a cell in column {unnamed[-1] + 1}, which has no header")
    return Row(line, {title: _value(cell) for title, cell in zip(header, cells, strict=True) if title})


def _value(cell: Any) -> Any:
    if isinstance(cell, date | time):  # a datetime is a date
        return cell.isoformat()
    return None if cell == "" else cell
