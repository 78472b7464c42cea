"""Files that change their encoding: the rows of one are read, those of the other are named."""

import json
from pathlib import Path

import pytest

from configs.errors import DataError
from data.encoding import detect_encoding
from data.formats import Reject, read
from data.row import Row
from data.rows import read_rows

TEXTS = ["高血压患者能吃党参吗？", "老年人高血压一般如何治疗？", "糖尿病", "孩子发烧了怎么办"]
GBK, UTF8 = "bytes that are not utf-8; they read as gb18030", "bytes that are not gb18030; they read as utf-8"


def rows_in(kind: str, encoding: str, count: int) -> list[bytes]:
    """Rows of which each says a question and the row's number."""
    texts = [f"{TEXTS[i % len(TEXTS)]}{i}" for i in range(count)]
    if kind == "csv":  # a cell goes on in the next line
        return [f'"{text}\n次行",好的\n'.encode(encoding) for text in texts]
    return [json.dumps({"question": text, "answer": "好的"}, ensure_ascii=False).encode(encoding) for text in texts]


def write(path: Path, rows: list[bytes]) -> Path:
    """The rows as a file of the kind that its suffix says."""
    before, between, after = {".csv": (b"question,answer\n", b"", b""), ".jsonl": (b"", b"\n", b"\n")}.get(
        path.suffix, (b"[", b",", b"]")
    )
    path.write_bytes(before + between.join(rows) + after)
    return path


def bad(path: Path) -> list[tuple[int, str | None, str]]:
    return [(row.line, row.error, row.reads) for row in read_rows(path) if row.error]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
@pytest.mark.parametrize("few_first", [True, False])
@pytest.mark.parametrize(("most", "other", "error"), [("utf-8", "gbk", GBK), ("gbk", "utf-8", UTF8)])
def test_rows_of_the_other_encoding_are_named(
    tmp_path: Path, kind: str, few_first: bool, most: str, other: str, error: str
) -> None:
    few, many = rows_in(kind, other, 3), rows_in(kind, most, 30)
    path = write(tmp_path / f"a.{kind}", few + many if few_first else many + few)
    found = bad(path)
    assert [reason for _, reason, _ in found] == [error] * 3
    assert found[1][2].startswith("老年人高血压一般如何治疗？1")
    questions = [str(row.fields["question"]).removesuffix("\n次行") for row in read_rows(path) if not row.error]
    assert questions == [f"{TEXTS[i % len(TEXTS)]}{i}" for i in range(30)]


@pytest.mark.parametrize(("first", "then", "error"), [("utf-8", "gbk", GBK), ("gbk", "utf-8", UTF8)])
def test_change_after_what_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, then: str, error: str
) -> None:
    monkeypatch.setattr("data.encoding._SAMPLE", 4_096)
    path = write(tmp_path / "a.csv", rows_in("csv", first, 400) + rows_in("csv", then, 500))
    found = bad(path)
    assert {reason for _, reason, _ in found} == {error}
    assert [line for line, _, _ in found] == list(range(802, 1802, 2))


def test_one_cell_of_another_encoding_spoils_its_row(tmp_path: Path) -> None:
    row = "糖尿病,".encode("gbk") + "不可以吃糖\n".encode()
    path = write(tmp_path / "a.csv", [*rows_in("csv", "gbk", 20), row])
    assert bad(path) == [(42, UTF8, "不可以吃糖")]
    path = write(tmp_path / "b.csv", [*rows_in("csv", "utf-8", 20), row])
    assert bad(path) == [(42, GBK, "糖尿病")]


def test_bad_row_stops_with_its_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", rows_in("jsonl", "utf-8", 9) + rows_in("jsonl", "gbk", 1))
    with pytest.raises(
        DataError, match=r"a\.jsonl:10: bytes .* they read as gb18030: 高血压患者能吃党参吗？0 好的; mend"
    ):
        list(read(path))
    rejects: list[Reject] = []
    assert len(list(read(path, rejected=rejects.append))) == 9
    assert rejects[0].as_json()["reads"] == "高血压患者能吃党参吗？0 好的"


def test_broken_bytes_are_taken_for_no_text(tmp_path: Path) -> None:
    rows = [*rows_in("jsonl", "utf-8", 9), b'{"question": "caf\xe9 au lait", "answer": "\xff\x81"}']
    assert bad(write(tmp_path / "a.jsonl", rows)) == [(10, "bytes that are not utf-8", "")]


def test_header_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("问题,回答\n".encode("gbk") + b"".join(rows_in("csv", "utf-8", 9)))
    with pytest.raises(DataError, match=r"a\.csv: line 1: the header is in another encoding than the rows"):
        list(read_rows(path))


def test_gbk_words_that_are_utf8_by_chance_are_read(tmp_path: Path) -> None:
    words = ["谢谢", "专业", "什么", "为什么", *TEXTS]  # the bytes of the first four are UTF-8 too
    path = tmp_path / "a.csv"
    path.write_bytes(b"question,answer\n" + b"".join(f"{word},1\n".encode("gbk") for word in words))
    assert detect_encoding(path) == "gb18030"
    assert list(read_rows(path)) == [Row(i, {"question": word, "answer": "1"}) for i, word in enumerate(words, 2)]
