"""Rows of a `.txt` file: one text a line, columns between tabs, or one JSON object a line.

A text file has no header, unless its first line is one by the look of it. Columns without names are `column_0`,
`column_1`, …, which `data.fields` may name, and of two the first asks and the second answers.
"""

import itertools
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from data.header import names_columns, numbered_columns
from data.json_rows import jsonl_rows
from data.row import BYTES_OF_ANOTHER_ENCODING, Row, is_decoded

log = logging.getLogger("mull.data")

_LOOKED_AT = 100
_SHOWN = 20
_NAME = re.compile(
    r"[A-Za-z_]\w*|序号|编号|问题?|提问|问句|答案?|回答|回复|文本|内容|正文|标题|标签|类别|分类|意图|情感|科室",
    re.ASCII,
)


def text_rows(file: TextIO, path: Path, columns: Collection[str] = ()) -> Iterator[Row]:
    """One row a line that is not blank; `columns`: those that are asked for, by number where there is no header.

    What the lines were taken for is logged.
    """
    numbered = ((line, text.strip("\r\n\ufeff")) for line, text in enumerate(file, start=1))
    lines = ((line, text) for line, text in numbered if text.strip())
    first = list(itertools.islice(lines, _LOOKED_AT))
    if first and first[0][1].lstrip().startswith("{"):
        for line, text in itertools.chain(first, lines):
            yield from jsonl_rows([text], first=line)
        return
    width = Counter(text.count("\t") + 1 for _, text in first).most_common(1)[0][0] if first else 1
    header = numbered_columns(width)
    lines_of_cells = [text.split("\t") for _, text in first[:2]]
    if width > 1 and _is_header(lines_of_cells) and names_columns(lines_of_cells[0], columns):
        header = [name.strip() for name in first.pop(0)[1].split("\t")]
        log.warning("%s: the first line is read as the header: %s", path, ", ".join(header))
    elif first:
        cells = first[0][1].split("\t", width - 1)
        shown = ", ".join(f"{name} ({cell[:_SHOWN]})" for name, cell in zip(header, cells, strict=False))
        log.warning("%s: no header; read as %s", path, shown if width > 1 else f"one text a line: {shown}")
    for line, text in itertools.chain(first, lines):
        yield _row(line, text, header)


def _row(line: int, text: str, header: Sequence[str]) -> Row:
    cells = text.split("\t") if len(header) > 1 else [text]
    if not is_decoded(text):
        return Row(line, {}, BYTES_OF_ANOTHER_ENCODING, reads=text)
    if len(cells) != len(header):
        return Row(line, {}, f"{len(cells)} columns between tabs, most lines have {len(header)}")
    return Row(line, {name: cell.strip() for name, cell in zip(header, cells, strict=True)})


def _is_header(lines: Sequence[Sequence[str]]) -> bool:
    """Whether all cells of the first line are names, and those of the second are not."""
    are_names = [all(_NAME.fullmatch(cell.strip()) for cell in cells) for cells in lines]
    return are_names == [True, False]
