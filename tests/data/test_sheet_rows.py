"""Spreadsheets: a small one of Office Open XML's parts, as Excel writes them."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from configs.errors import DataError
from data.formats import open_traces
from data.row import Row
from data.rows import read_rows

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
Cell = str | float | None


def workbook(path: Path, sheets: dict[str, Sequence[Sequence[Cell]]], merged: Sequence[str] = ()) -> Path:
    """A workbook with these sheets; `merged`: ranges of the first one, as "A2:A3"."""
    numbers = range(1, len(sheets) + 1)
    listed = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in zip(numbers, sheets, strict=True))
    targets = "".join(f'<Relationship Id="r{i}" Type="{OFFICE}/worksheet" Target="s{i}.xml"/>' for i in numbers)
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="{main}"/></Types>',
        )
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r" Type="{OFFICE}/officeDocument" '
            'Target="workbook.xml"/></Relationships>',
        )
        file.writestr(
            "workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>'
        )
        file.writestr(
            "_rels/workbook.xml.rels", f'<Relationships xmlns="{PACKAGE}/relationships">{targets}</Relationships>'
        )
        for number, rows in zip(numbers, sheets.values(), strict=True):
            ranges = "".join(f'<mergeCell ref="{one}"/>' for one in merged) if number == 1 else ""
            tail = f"<mergeCells>{ranges}</mergeCells>" if ranges else ""
            file.writestr(
                f"s{number}.xml", f'<worksheet xmlns="{MAIN}"><sheetData>{_rows(rows)}</sheetData>{tail}</worksheet>'
            )
    return path


def _rows(rows: Sequence[Sequence[Cell]]) -> str:
    return "".join(
        f'<row r="{at}">{"".join(_cell(f"{chr(65 + column)}{at}", cell) for column, cell in enumerate(cells))}</row>'
        for at, cells in enumerate(rows, 1)
    )


def _cell(place: str, cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
    return f'<c r="{place}"><v>{cell}</v></c>'


HEADER: list[Cell] = ["原始词", "标准词", "次数"]


def test_rows_are_those_below_the_header(tmp_path: Path) -> None:
    sheet: list[list[Cell]] = [
        HEADER,
        ["右肺癌", "肺恶性肿瘤", 3],
        [None, None, None],
        ["T2DM & co", "2型糖尿病", None],
    ]
    path = workbook(tmp_path / "a.xlsx", {"词": sheet, "空": []})
    assert list(read_rows(path)) == [
        Row(2, {"原始词": "右肺癌", "标准词": "肺恶性肿瘤", "次数": 3.0}),
        Row(4, {"原始词": "T2DM & co", "标准词": "2型糖尿病", "次数": None}),
    ]
    traces = list(open_traces(path, {"question": "原始词", "reply": "标准词"}).traces)
    assert [(trace.question, trace.reply) for trace in traces] == [("右肺癌", "肺恶性肿瘤"), ("T2DM & co", "2型糖尿病")]


def test_cell_merged_downwards_is_each_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sheet: list[list[Cell]] = [["词表", None], ["a", "b"], ["1", "2"], [None, "3"], [None, "4"], ["5", "6"]]
    path = workbook(tmp_path / "a.xlsx", {"s": sheet}, ["A1:B1", "A3:A5"])
    assert [(row.line, row.fields) for row in read_rows(path)] == [
        (3, {"a": "1", "b": "2"}),
        (4, {"a": "1", "b": "3"}),
        (5, {"a": "1", "b": "4"}),
        (6, {"a": "5", "b": "6"}),
    ]
    assert "2 cells are part of one merged downwards" in caplog.text


def open_document(path: Path, rows: Sequence[str]) -> Path:
    """An `.ods` file with one sheet, `a & b`, of these rows of cells."""
    names = {"office": "office", "table": "table", "text": "text"}
    spaces = " ".join(f'xmlns:{key}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for key, name in names.items())
    table = "".join(f"<table:table-row>{cells}</table:table-row>" for cells in rows)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", "<manifest/>")
        file.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet>"
            f'<table:table table:name="a &amp; b">{table}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return path


def test_ods_cell_merged_downwards_is_refused(tmp_path: Path) -> None:
    def cell(text: str, rows: int = 1) -> str:
        kind = f'office:value-type="string" table:number-rows-spanned="{rows}"'
        return f"<table:table-cell {kind}><text:p>{text}</text:p></table:table-cell>"

    header = cell("a") + cell("b")
    path = open_document(tmp_path / "a.ods", [header, cell("1") + cell("2")])
    assert [row.fields for row in read_rows(path)] == [{"a": "1", "b": "2"}]
    path = open_document(
        tmp_path / "b.ods", [header, cell("1", 2) + cell("2"), "<table:covered-table-cell/>" + cell("3")]
    )
    with pytest.raises(DataError, match=r"b\.ods: it has cells merged downwards.*save it as \.xlsx"):
        list(read_rows(path))


def test_header_of_two_rows_is_the_lower_one(tmp_path: Path) -> None:
    sheet: list[list[Cell]] = [["主诉", "诊断", None], [None, "初诊", "确诊"], ["咳嗽", "感冒", "肺炎"]]
    path = workbook(tmp_path / "a.xlsx", {"s": sheet}, ["A1:A2", "B1:C1", "F2:F9"])
    assert [row.fields for row in read_rows(path)] == [{"主诉": "咳嗽", "初诊": "感冒", "确诊": "肺炎"}]


def test_columns_of_a_sheet_go_by_number(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"s": [["几点了？", "询问"], ["开灯", "控制"]]})
    with pytest.raises(DataError, match="the first row looks like data; without a header they are column_0"):
        open_traces(path)
    traces = list(open_traces(path, {"question": "column_0", "reply": "column_1"}).traces)
    assert [(trace.id, trace.reply) for trace in traces] == [("a-1", "询问"), ("a-2", "控制")]


def test_cell_merged_across_names_its_rows(tmp_path: Path) -> None:
    sheet: list[list[Cell]] = [["a", "b"], ["内科", None], ["1", "2"], ["外科", None], [None, None], ["3", "4"]]
    path = workbook(tmp_path / "a.xlsx", {"s": sheet}, ["A2:B2", "A4:B5"])
    assert [(row.line, row.error) for row in read_rows(path)] == [
        (2, "a merged cell (rows 2 to 2, columns 1 to 2); unmerge it and fill its cells"),
        (3, None),
        (4, "a merged cell (rows 4 to 5, columns 1 to 2); unmerge it and fill its cells"),
        (6, None),
    ]


def test_cell_without_header_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"s": [["", "a", ""], [0, "1", None], [1, "2", "3"]]})
    found = list(read_rows(path))
    assert found[0].fields == {"a": "1"}  # the first column is pandas' index
    assert found[1].error == "a cell in column 3, which has no header"


def test_sheet_has_to_be_clear(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"one": [["a"], ["1"]], "two": [["a"], ["2"]]})
    assert [row.fields for row in read_rows(path, split="two")] == [{"a": "2"}]
    with pytest.raises(DataError, match=r"it holds the sheets one, two; name one of them \(data\.split=NAME\)"):
        list(read_rows(path))
    with pytest.raises(DataError, match="name one of them"):
        list(read_rows(path, split="three"))
    (tmp_path / "b.xlsx").write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"b\.xlsx: not a whole spreadsheet"):
        list(read_rows(tmp_path / "b.xlsx"))
