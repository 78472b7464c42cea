"""Reading files row by row: every kind of file, every line number, every way a row can be broken."""

import bz2
import gzip
import importlib.util
import json
import lzma
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import DataError
from data.row import Row
from data.rows import read_rows

ROWS = [{"question": "1 + 1?", "answer": "2"}, {"question": "你好，\n“{[”?", "answer": "4"}]


def rows(path: Path) -> list[Row]:
    return list(read_rows(path))


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    (tmp_path / "a.json").write_text(json.dumps(ROWS, indent=2, ensure_ascii=False), "utf-8")
    (tmp_path / "lines.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    (tmp_path / "a.csv").write_text('question,answer\n1 + 1?,2\n"你好，\n“{[”?",4\n', "utf-8")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.json", "lines.json", "a.csv", "a.parquet"):
        assert [row.fields for row in rows(tmp_path / name)] == ROWS, name


def test_rows_know_their_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": 2}\nnonsense\n{"a": 3}\n')
    assert [(row.line, bool(row.error)) for row in rows(tmp_path / "a.jsonl")] == [
        (1, False),
        (3, False),
        (4, True),
        (5, False),
    ]
    (tmp_path / "a.json").write_text('[\n {"a": 1},\n\n {"a":\n 2},\n 7, {"a": 3}]')
    assert [(row.line, bool(row.error)) for row in rows(tmp_path / "a.json")] == [
        (2, False),
        (4, False),
        (6, True),
        (6, False),
    ]
    (tmp_path / "a.csv").write_text('a,b\n1,2\n"1\n1",2\n1\n1,3\n')
    assert [(row.line, bool(row.error)) for row in rows(tmp_path / "a.csv")] == [
        (2, False),
        (3, False),
        (5, True),
        (6, False),
    ]


@given(
    st.lists(
        st.dictionaries(
            st.text(), st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.none())
        )
    )
)
def test_json_array_round_trips(tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, object]]) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(values, ensure_ascii=False), "utf-8", errors="surrogatepass")
    assert [row.fields for row in rows(path)] == values


@pytest.mark.parametrize("cut", [1, 30, 200_000, 399_990])
def test_half_written_array_gives_whole_rows_first(tmp_path: Path, cut: int) -> None:
    text = json.dumps([{"i": i, "text": "x" * 1000} for i in range(400)], indent=0)
    (tmp_path / "a.json").write_text(text[:cut])
    *whole, broken = rows(tmp_path / "a.json")
    assert [row.fields["i"] for row in whole] == list(range(len(whole)))
    assert broken.error is not None
    assert broken.line == text[:cut].count("\n") + 1 or broken.line >= 3 * len(whole) + 1


def test_half_written_last_line_is_an_error_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": "tw')
    first, last = rows(tmp_path / "a.jsonl")
    assert first.fields == {"a": 1}
    assert last.line == 2
    assert last.error is not None


def test_unclosed_csv_quote_is_an_error_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n1,2\n"never closed,2\n3,4\n')
    result = rows(tmp_path / "a.csv")
    assert result[0].fields == {"a": "1", "b": "2"}
    assert (result[-1].line, result[-1].lines) == (3, 2)


def test_late_closing_quote_counts_lost_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n1,2\n"opens,2\n3,4\nhe said "so",5\n6,7\n8,he said ""so"",9\n')
    found = rows(tmp_path / "a.csv")
    assert [(row.line, row.lines, bool(row.error)) for row in found] == [
        (2, 1, False),
        (3, 3, True),
        (6, 1, False),
        (7, 1, True),
    ]


@pytest.mark.parametrize("broken", ['{"i": 7 "text": 1}', "{'i': 7}", '{"i": 7, "text": "a "word" of it"}'])
def test_broken_array_element_counts_lost_text(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "a.json"
    with path.open("w") as file:
        file.write('[\n{"i": 1},\n' + broken + ",\n")
        for i in range(10_000):
            file.write(json.dumps({"i": i, "text": "x" * 1000}) + ",\n")
        file.write('{"i": 20000}]\n')
    tracemalloc.start()
    *whole, last = rows(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.fields for row in whole] == [{"i": 1}]
    assert (last.line, last.lines) == (3, 10_002)
    lost = len(path.read_text().split("\n", 2)[2])
    assert f"{lost:,} characters" in str(last.error)
    assert peak < 4e6 < path.stat().st_size / 2


@pytest.mark.parametrize("gap", ["\n", " " * 100_000 + "\n"])
@pytest.mark.parametrize("more", ['[{"a": 2},\n{"a": 3}]\n', '{"a": 2}\n{"a": 3}\n'])
def test_text_after_an_array_is_an_error_row(tmp_path: Path, gap: str, more: str) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1}]' + gap + more)
    first, last = rows(tmp_path / "a.json")
    assert first.fields == {"a": 1}
    assert (last.line, last.lines) == (2, 2)
    assert f"text after the end of the array) {len(more)} characters" in str(last.error)
    (tmp_path / "a.json").write_text('[{"a": 1}]' + gap)
    assert [row.error for row in rows(tmp_path / "a.json")] == [None]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_huge_integer_stays_text(tmp_path: Path, name: str) -> None:
    digits = "7" * 5_000
    (tmp_path / name).write_text(f'{{"answer": {digits}, "small": -3}}\n')
    assert [row.fields for row in rows(tmp_path / name)] == [{"answer": digits, "small": -3}]


def test_broken_object_takes_all_its_lines(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n"a": 1,\n"b": oops\n}\n')
    assert [(row.line, row.lines) for row in rows(tmp_path / "a.json")] == [(1, 4)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_nan_and_infinity_become_none(tmp_path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": float("-inf"), "e": 2.5}, "f": "nan"}
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    else:
        (tmp_path / name).write_text(json.dumps([row] if name == "a.json" else row) + "\n")
    assert rows(tmp_path / name)[0].fields == {"a": None, "b": [1.5, None], "c": {"d": None, "e": 2.5}, "f": "nan"}


def test_overflowing_number_becomes_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1e999, "b": 1e9}\n')
    assert rows(tmp_path / "a.jsonl")[0].fields == {"a": None, "b": 1e9}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_lone_surrogate_is_an_error_row(tmp_path: Path, name: str) -> None:
    texts = [r'{"a": "\ud83d\ude00"}', r'{"a": "\ud83d"}', r'{"\uDE00": 1}', r'{"a": "\\ud83d"}', r'{"a": "\u4f60"}']
    (tmp_path / name).write_text("[" + ",\n".join(texts) + "]" if name == "a.json" else "\n".join(texts) + "\n")
    found = rows(tmp_path / name)
    assert [row.fields.get("a") for row in found] == ["\U0001f600", None, None, r"\ud83d", "你"]
    assert [bool(row.error) for row in found] == [False, True, True, False, False]


def test_large_file_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("w") as file:
        file.write("[")
        for i in range(20_000):
            file.write(json.dumps({"i": i, "text": "x" * 1000}) + ",\n")
        file.write('{"i": 20000}]')
    tracemalloc.start()
    count = sum(1 for _ in read_rows(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_001
    assert peak < 4e6 < path.stat().st_size / 5


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_chinese_encodings_are_detected(tmp_path: Path, name: str, encoding: str) -> None:
    question = "高血压患者能吃党参吗？我有高血压这两天女婿来的时候给我拿了些党参泡水喝，您好高血压可以吃党参吗？"
    text = f"ask,answer\n{question},可以\n" * 20 if name == "a.csv" else f'{{"ask": "{question}"}}\n' * 20
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert rows(tmp_path / name)[0].fields["ask"] == question


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
def test_row_of_another_encoding_is_an_error_row(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.encoding._SAMPLE", 4_096)
    row = {"a.jsonl": b'{"a": "%s"}\n', "a.csv": b"%s,1\n", "a.json": b'{"a": "%s"},\n'}[name]
    start, end = {"a.jsonl": (b"", b""), "a.csv": (b"a,b\n", b""), "a.json": (b"[\n", b'{"a": "end"}]')}[name]
    many = row % "é".encode() * 1_500  # what is wrong comes after what the encoding is told by
    (tmp_path / name).write_bytes(start + many + row % b"\xff\x81" + row % b"fine" + end)
    found = rows(tmp_path / name)
    bad = [i for i, row in enumerate(found) if row.error]
    assert bad == [1_500]
    assert found[1_500].error == "bytes that are not utf-8"
    assert found[1_500].line == 1_501 + start.count(b"\n")
    assert found[1_501].fields["a"] == "fine"


@pytest.mark.parametrize("name", ["missing.jsonl", "a.doc"])
def test_missing_file_or_unknown_kind_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(DataError, match=name):
        rows(tmp_path / name)


def test_broken_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"a\.parquet"):
        rows(tmp_path / "a.parquet")


TABLES = {
    "one object a column": {"q": {"0": "1 + 1?", "1": "2 + 2?"}, "a": {"0": 2, "1": 4}},
    "one object a row": {"0": {"q": "1 + 1?", "a": 2}, "1": {"q": "2 + 2?", "a": 4}},
    "columns and cells": {"columns": ["q", "a"], "index": [0, 1], "data": [["1 + 1?", 2], ["2 + 2?", 4]]},
    "rows under data": {"version": 1, "data": [{"q": "1 + 1?", "a": 2}, {"q": "2 + 2?", "a": 4}]},
    "one split": {"train": [{"q": "1 + 1?", "a": 2}, {"q": "2 + 2?", "a": 4}]},
    "the hub's rows": {"rows": [{"row_idx": i, "row": {"q": f"{i} + {i}?", "a": 2 * i}} for i in (1, 2)]},
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_json_object_may_hold_all_rows(tmp_path: Path, table: dict[str, object], indent: int | None) -> None:
    (tmp_path / "a.json").write_text(json.dumps(table, indent=indent) + "\n")
    expected = [(1, {"q": "1 + 1?", "a": 2}), (2, {"q": "2 + 2?", "a": 4})]
    assert [(row.line, row.fields) for row in rows(tmp_path / "a.json")] == expected


@pytest.mark.parametrize(
    "row", [{"messages": [{"role": "user"}]}, {"q": {"0": "a"}, "a": {"1": "b"}}, {"data": "x"}, {}]
)
def test_json_object_may_be_one_row(tmp_path: Path, row: dict[str, object]) -> None:
    (tmp_path / "a.json").write_text(json.dumps(row))
    assert [found.fields for found in rows(tmp_path / "a.json")] == [row]


def test_ambiguous_split_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"train": [{"a": 1}], "test": [{"a": 2}]}))
    assert [row.fields for row in read_rows(path, split="test")] == [{"a": 2}]
    with pytest.raises(DataError, match=r"a\.json: it holds several splits \(train, test\); name one"):
        rows(path)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_byte_order_mark_may_begin_any_line(tmp_path: Path, name: str) -> None:
    parts = ["a,b\n1,2\n", "a,b\n3,4\n"] if name == "a.csv" else ['{"a": "1", "b": "2"}\n', '{"a": "3", "b": "4"}\n']
    (tmp_path / name).write_text("".join("\ufeff" + part for part in parts), "utf-8")
    assert [row.fields for row in rows(tmp_path / name)] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("named", [False, True])
def test_header_tells_the_delimiter(tmp_path: Path, delimiter: str, named: bool) -> None:
    lines = [f"question{delimiter}answer", f'"1{delimiter} 2?"{delimiter}3', "broken"]
    (tmp_path / "a.csv").write_text("\r\n".join([f"sep={delimiter}"] * named + lines))
    good, bad = rows(tmp_path / "a.csv")
    assert good == Row(2 + named, {"question": f"1{delimiter} 2?", "answer": "3"})
    assert (bad.line, bad.error) == (3 + named, "1 columns, the header has 2")


@pytest.mark.parametrize("index", ["", "Unnamed: 0"])
def test_pandas_index_is_no_column(tmp_path: Path, index: str) -> None:
    (tmp_path / "a.csv").write_text(f"{index},q,a\n0,1 + 1?,2\n")
    assert [row.fields for row in rows(tmp_path / "a.csv")] == [{"q": "1 + 1?", "a": "2"}]


@pytest.mark.parametrize("pack", [gzip, bz2, lzma])
def test_compressed_file_is_read(tmp_path: Path, pack: object) -> None:
    suffix = {gzip: "gz", bz2: "bz2", lzma: "xz"}[pack]  # type: ignore[index]
    path = tmp_path / f"a.csv.{suffix}"
    packed: bytes = pack.compress("q,a\n你?,2\n".encode())  # type: ignore[attr-defined]
    path.write_bytes(packed)
    assert [row.fields for row in rows(path)] == [{"q": "你?", "a": "2"}]
    path.write_bytes(packed[:-4])
    with pytest.raises(DataError, match=rf"a\.csv\.{suffix}: not a whole \.{suffix} file"):
        rows(path)


@pytest.mark.skipif(importlib.util.find_spec("zstandard") is not None, reason="zstandard is installed")
def test_zstandard_names_the_missing_package(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(b"(\xb5/\xfd")
    with pytest.raises(DataError, match=r"pip install zstandard\); or unpack it"):
        rows(tmp_path / "a.jsonl.zst")


@pytest.mark.parametrize(
    ("name", "way_out"), [("a.xlsx", "not a whole spreadsheet"), ("a.zip", "unpack it"), ("a.gz", "take one of")]
)
def test_unknown_kind_of_file_names_the_way_out(tmp_path: Path, name: str, way_out: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=way_out):
        rows(tmp_path / name)
