"""Folders and patterns of files, read as one."""

import json
from pathlib import Path

import pytest

from configs.data_files import check_data_files, data_files
from configs.errors import DataError
from configs.run_directory import data_hash
from configs.schema.sections import DataConfig
from configs.schema.sft import SftConfig
from curation.inspect import main as inspect
from data.corpus import load_traces
from data.formats import Reject, read
from data.rows import read_rows
from data.sources import load_problems
from sft.train import train_sft

ASK = "高血压患者能吃党参吗？我有高血压这两天女婿来的时候给我拿了些党参泡水喝，您好高血压可以吃党参吗？"
CSV = "ask,title,answer\n" + f"{ASK},高血压,可以\n" * 20


@pytest.fixture
def wards(tmp_path: Path) -> Path:
    """A file each in GBK and in UTF-8, in a folder with what is no data."""
    folder = tmp_path / "科室"
    folder.mkdir()
    (folder / "内科.csv").write_bytes(CSV.encode("gbk"))
    (folder / "外科.csv").write_bytes(CSV.encode())
    for name in ("说明.md", ".hidden.csv", "~$内科.xlsx"):
        (folder / name).write_text("no data")
    return folder


@pytest.mark.parametrize("pattern", ["", "*.csv", "?科.csv"])
def test_files_are_read_each_in_its_encoding(wards: Path, pattern: str) -> None:
    traces = load_traces(DataConfig(path=str(wards / pattern)))
    assert {trace.question for trace in traces} == {f"高血压\n{ASK}"}
    assert [(trace.id, trace.source) for trace in (traces[0], traces[20])] == [
        ("内科-2", "内科.csv"),
        ("外科-2", "外科.csv"),
    ]
    assert len({trace.id for trace in traces}) == 40


def test_bad_row_names_its_file(wards: Path) -> None:
    with (wards / "外科.csv").open("a") as file:
        file.write("only one cell\n")
    rejects: list[Reject] = []
    assert len(list(read(wards, rejected=rejects.append))) == 40
    assert [reject.place for reject in rejects] == [f"{wards}/外科.csv:22"]


def test_files_of_two_layouts_are_refused_by_name(wards: Path) -> None:
    (wards / "骨科.jsonl").write_text('{"question": "a?", "answer": "b"}\n')
    with pytest.raises(
        DataError, match=r"骨科\.jsonl: its layout is question-answer, and that of .*内科\.csv is title-"
    ):
        list(read(wards))


def test_own_ids_of_two_files_stay_apart(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "b.json"):
        (tmp_path / name).write_text(json.dumps({"id": 7, "question": f"{name}?", "answer": "1"}) + "\n")
    config = DataConfig(path=str(tmp_path))
    assert [problem.id for problem in load_problems(config)] == ["a-7", "b.json-7", "b.jsonl-7"]
    assert [trace.id for trace in load_traces(config)] == ["a-7", "b.json-7", "b.jsonl-7"]


def test_task_reads_several_files(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text("原始词,标准词\n右肺癌,肺恶性肿瘤\n")
    traces = load_traces(DataConfig(path=f"{tmp_path}/*.csv", task="term_normalisation_zh"))
    assert [(trace.id, trace.reply) for trace in traces] == [("a-2", "肺恶性肿瘤"), ("b-2", "肺恶性肿瘤")]


def test_files_in_folders_are_told_apart(tmp_path: Path) -> None:
    for ward in ("内科", "外科"):
        (tmp_path / ward).mkdir()
        (tmp_path / ward / "2020.csv").write_text("question,answer\na?,b\n")
    assert [trace.id for trace in read(f"{tmp_path}/**/*.csv")] == ["内科/2020-2", "外科/2020-2"]
    with pytest.raises(DataError, match=r"no data file in this folder; for those in its folders write .*/\*\*/\*\.csv"):
        data_files(tmp_path)


def test_pattern_that_nothing_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file fits this pattern"):
        list(read(f"{tmp_path}/*.csv"))
    (tmp_path / "[a].jsonl").write_text('{"question": "a?", "answer": "b"}\n')
    assert [trace.id for trace in read(tmp_path / "[a].jsonl")] == ["[a]-1"]


def test_folder_with_a_registry_is_read_by_name(wards: Path) -> None:
    columns = {"prompt": "ask", "response": "answer"}
    (wards / "dataset_info.json").write_text(json.dumps({"内科": {"file_name": "内科.csv", "columns": columns}}))
    with pytest.raises(DataError, match=r"name one: .*dataset_info\.json#NAME"):
        list(read(wards))
    assert len(list(read(f"{wards}/dataset_info.json#内科"))) == 20
    assert [file.name for file in data_files(f"{wards}/*.[cj]s*")] == ["内科.csv", "外科.csv"]


def test_hash_is_of_all_data_files(wards: Path) -> None:
    config = SftConfig(data=DataConfig(path=str(wards)), model={"name": "smollm2-135m"}, output_dir="out")  # type: ignore[arg-type]
    before = data_hash(config)
    (wards / "说明.md").write_text("other words")
    assert data_hash(config) == before
    (wards / "外科.csv").write_text(CSV + "a,b,c\n")
    assert data_hash(config) not in (before, None)


def test_inspect_says_which_files_it_read(wards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect([str(wards)]) == 0
    said = capsys.readouterr().out
    assert f"files: 2, from {wards}/内科.csv to {wards}/外科.csv\n" in said
    assert f"encoding: gb18030 (1 files, the first: {wards}/内科.csv)\n" in said
    assert "rows: 40, 0 with thinking; rejected: 0" in said


def test_path_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{}", "utf-8")
    check_data_files(f"{tmp_path}/dataset_info.json#name")
    for path in ("nowhere.csv", "nowhere/dataset_info.json#name"):
        with pytest.raises(DataError, match="no such file"):
            check_data_files(str(tmp_path / path))


def test_missing_file_is_found_before_the_model_is_fetched() -> None:
    changes = ["model.name=nobody/no-such-model", "data.path=nowhere.jsonl"]
    with pytest.raises(DataError, match=r"nowhere\.jsonl: no such file"):
        train_sft("ner_zh", changes, dry_run=True)


def test_file_of_a_shipped_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULL_DATA", raising=False)
    with pytest.raises(DataError, match="set MULL_DATA to the folder that has it"):
        list(read_rows(Path("data/nowhere/rows.csv")))
