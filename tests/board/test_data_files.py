"""Which data files the board reads, and what it keeps of dropped ones."""

from pathlib import Path

import pytest

from board import data_files
from board.data_files import DataFiles, harmless_name
from board.folder import Folder
from configs.errors import DataError


@pytest.fixture
def files(tmp_path: Path) -> DataFiles:
    for name in ("outputs/own.csv", "named/deep/er.jsonl", "elsewhere/secret.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("question,answer\n")
    return DataFiles(Folder(tmp_path / "outputs"), [tmp_path / "named"])


def dropped(tmp_path: Path, name: str = "a.csv", text: str = "question,answer\n") -> Path:
    (tmp_path / "dropped").mkdir(exist_ok=True)
    (tmp_path / "dropped" / name).write_text(text)
    return tmp_path / "dropped" / name


def test_files_of_each_named_folder_are_listed(files: DataFiles, tmp_path: Path) -> None:
    named = str(tmp_path / "named" / "deep" / "er.jsonl")
    assert sorted(files.listed()) == sorted(["own.csv", named])
    assert files.path("own.csv") == tmp_path / "outputs" / "own.csv"
    assert files.path(named) == Path(named)


def test_logs_of_a_run_are_no_data(files: DataFiles, tmp_path: Path) -> None:
    for run, product in (("run", "run.json"), ("made", "manifest.json")):
        (tmp_path / "outputs" / run).mkdir()
        for name in ("config.yaml", product, "metrics.jsonl", "data.jsonl"):
            (tmp_path / "outputs" / run / name).write_text("{}")
    assert "made/data.jsonl" in files.listed()
    assert not {"made/metrics.jsonl", "made/manifest.json", "run/data.jsonl"} & set(files.listed())


@pytest.mark.parametrize(
    "name",
    ["", "../elsewhere/secret.csv", "/etc/passwd", "link.csv", "linked/secret.csv", "none.csv", "a\0b.csv", "x" * 9999],
)
def test_files_elsewhere_are_not_read(files: DataFiles, tmp_path: Path, name: str) -> None:
    (tmp_path / "outputs" / "link.csv").symlink_to(tmp_path / "elsewhere" / "secret.csv")
    (tmp_path / "outputs" / "linked").symlink_to(tmp_path / "elsewhere")
    assert not any("link" in one for one in files.listed())
    with pytest.raises(DataError, match="no data file below"):
        files.path(name)


def test_registry_that_names_other_files_is_not_read(files: DataFiles, tmp_path: Path) -> None:
    registry = tmp_path / "outputs" / "dataset_info.json"
    registry.write_text('{"x": {"file_name": "/etc/passwd"}}')
    for name in ("dataset_info.json", "dataset_info.json#x"):
        with pytest.raises(DataError, match="no data file below"):
            files.path(name)
    assert files.keep(dropped(tmp_path, "dataset_info.json")) == "uploads/data.json"


def test_dropped_files_overwrite_nothing(files: DataFiles, tmp_path: Path) -> None:
    assert files.keep(dropped(tmp_path, text="one")) == "uploads/a.csv"
    assert files.keep(dropped(tmp_path, text="two")) == "uploads/a-2.csv"
    assert files.path("uploads/a.csv").read_text() == "one"
    files.forget("uploads/a.csv")
    files.forget("own.csv")  # not a dropped one
    assert [file.name for file in (tmp_path / "outputs" / "uploads").iterdir()] == ["a-2.csv"]
    assert files.path("own.csv").is_file()


def test_dropped_files_are_bounded(files: DataFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_files, "LARGEST", 20)
    with pytest.raises(DataError, match="over 0 MiB"):
        files.keep(dropped(tmp_path, text="x" * 21))
    monkeypatch.setattr(data_files, "MOST_KEPT", 30)
    files.keep(dropped(tmp_path, text="x" * 20))
    with pytest.raises(DataError, match="delete some"):
        files.keep(dropped(tmp_path, text="x" * 20))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("表 格.CSV.gz", ("表_格", ".csv.gz")),
        ("<img src=x onerror=alert(1)>${x}.jsonl", ("img_src_x_onerror_alert_1_x", ".jsonl")),
        ("../../etc/cron.csv", ("etc_cron", ".csv")),
        (".csv", ("data", ".csv")),
        ("~$a.xlsx", ("a", ".xlsx")),
        ("a\n-rf.csv", ("a_-rf", ".csv")),
        ("x" * 300 + ".csv", ("x" * 80, ".csv")),
    ],
)
def test_names_are_made_harmless(name: str, expected: tuple[str, str]) -> None:
    assert harmless_name(name) == expected


@pytest.mark.parametrize("name", ["a.html", "a.py", "a", "run.json.exe", "config.yaml"])
def test_other_kinds_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="no data file; take one of"):
        harmless_name(name)
