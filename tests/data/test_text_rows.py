"""Text files, and tables without a header."""

from pathlib import Path

import pytest

from configs.errors import DataError
from configs.schema.sections import DataConfig
from data.corpus import load_traces
from data.formats import read
from data.header import looks_like_data
from data.rows import read_rows
from data.sources import load_problems


def file(tmp_path: Path, text: str, name: str = "a.txt") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def fields(path: Path) -> list[dict[str, str] | str | None]:
    return [row.error or row.fields for row in read_rows(path)]


def test_pairs_between_tabs_ask_and_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = file(tmp_path, "打开空调\t好的\n\n几点了\t下午三点\r\n")
    assert [(trace.id, trace.question, trace.reply) for trace in read(path)] == [
        ("a-1", "打开空调", "好的"),
        ("a-3", "几点了", "下午三点"),
    ]
    assert f"{path}: no header; read as column_0 (打开空调), column_1 (好的)" in caplog.text
    assert [problem.answer for problem in load_problems(DataConfig(path=str(path), grader="text"))] == [
        "好的",
        "下午三点",
    ]


def test_one_text_a_line_is_one_column(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = file(tmp_path, '他说 "好"，\n{不是 JSON}\n一\t二\n')
    assert fields(path) == [{"column_0": '他说 "好"，'}, {"column_0": "{不是 JSON}"}, {"column_0": "一\t二"}]
    assert "read as one text a line: column_0 (他说" in caplog.text
    documents = list(read(path))
    assert [(trace.question, trace.reply) for trace in documents][2] == ("", "一\t二")  # to pre-train on


def test_line_with_other_columns_is_bad(tmp_path: Path) -> None:
    assert fields(file(tmp_path, "a b\tc\nd\te\nf\tg\th\n"))[2] == "3 columns between tabs, most lines have 2"


def test_first_line_of_names_is_the_header(tmp_path: Path) -> None:
    assert fields(file(tmp_path, "text_a\tlabel\n几点了\t询问\n")) == [{"text_a": "几点了", "label": "询问"}]
    assert fields(file(tmp_path, "文本\t标签\n几点了\t询问\n")) == [{"文本": "几点了", "标签": "询问"}]
    assert len(fields(file(tmp_path, "hello\thi\nbye\tgoodbye\n"))) == 2


def test_json_lines_in_a_text_file_are_rows(tmp_path: Path) -> None:
    path = file(tmp_path, '{"question": "a?", "answer": "b"}\nnonsense\n')
    assert fields(path) == [{"question": "a?", "answer": "b"}, "not JSON (Expecting value at column 1)"]


def test_labels_before_texts_have_to_be_named(tmp_path: Path) -> None:
    path = file(tmp_path, "".join(f"{'正面' if i % 2 else '负面'}\t第{i}次来这家酒店\n" for i in range(12)))
    with pytest.raises(
        DataError, match=r"column_0 looks like labels \(正面, 负面\) of the texts in column_1; say which"
    ):
        list(read(path))
    named = DataConfig(path=str(path), fields={"question": "column_1", "reply": "column_0"})
    assert load_traces(named)[1].reply == "正面"


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", "几点了？,询问\n开灯,控制\n"), ("a.tsv", "几点了？\t询问\n开灯\t控制\n")]
)
def test_columns_of_a_table_go_by_number(tmp_path: Path, name: str, text: str) -> None:
    path = file(tmp_path, text, name)
    with pytest.raises(DataError, match=r"first row looks like data; without a header they are column_0, column_1, …"):
        list(read(path))
    named = DataConfig(path=str(path), fields={"question": "column_0", "reply": "column_1"})
    assert [(trace.id, trace.question) for trace in load_traces(named)] == [("a-1", "几点了？"), ("a-2", "开灯")]
    asked = DataConfig(path=str(path), fields={"question": "column_0", "answer": "column_1"}, grader="text")
    assert [problem.answer for problem in load_problems(asked)] == ["询问", "控制"]


def test_header_may_hold_such_names(tmp_path: Path) -> None:
    path = file(tmp_path, "column_0,column_1\na?,b\n", "a.csv")
    assert [trace.question for trace in read(path, {"question": "column_0", "reply": "column_1"})] == ["a?"]


def test_task_maps_columns_by_number(tmp_path: Path) -> None:
    path = file(tmp_path, "右肺癌,肺恶性肿瘤\n左肾癌,肾恶性肿瘤\n", "a.csv")
    config = DataConfig(
        path=str(path), task="term_normalisation_zh", fields={"原始词": "column_0", "标准词": "column_1"}
    )
    assert [trace.reply for trace in load_traces(config)] == ["肺恶性肿瘤", "肾恶性肿瘤"]


@pytest.mark.parametrize(
    ("columns", "is_data"),
    [
        (["question", "answer"], False),
        (["0", "1", "2"], False),
        (["问题", "回答（医生）"], False),
        (["a", "3.5"], True),
        (["怎么办？", "b"], True),
        (["x" * 41, "b"], True),
    ],
)
def test_header_that_is_a_row_is_told(columns: list[str], is_data: bool) -> None:
    assert looks_like_data(columns) is is_data
