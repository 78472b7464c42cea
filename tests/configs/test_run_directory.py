"""The run directory keeps what is there and survives a kill."""

from pathlib import Path

import pytest

from configs.errors import RunError
from configs.recipe import load_recipe
from configs.run_directory import RunDir, append_jsonl, keep_jsonl, read_jsonl, write_json


def test_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is in use; go on with --resume, or name another"):
        RunDir(tmp_path).check(resume=False)


def test_empty_folders_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    RunDir(tmp_path / "run").check(resume=False)
    (tmp_path / "run" / "checkpoints" / "trainer_state.json").touch()
    with pytest.raises(RunError, match="is in use"):
        RunDir(tmp_path / "run").check(resume=False)


def test_resuming_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run to resume"):
        RunDir(tmp_path).check(resume=True)


def test_resumed_run_names_changed_sections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDir(tmp_path / "run")
    run.start(load_recipe("grpo", "demo"))
    run.check(resume=True)
    run.start(load_recipe("grpo", "demo", ["seed=7"]), resume=True)
    assert "changed recipe: seed" in capsys.readouterr().out


def fails(run: RunDir, *trained: dict[str, int]) -> None:
    """A run that starts, and ends with an error."""
    with run.removed_if_unused():
        (run / "checkpoints").mkdir(parents=True)  # as the Trainer's constructor does
        run.start(load_recipe("grpo", "demo"))
        run.add_summary(loaded={})
        for row in trained:
            append_jsonl(run / "metrics.jsonl", row)
        raise RunError("it can't go on")


def test_refused_run_leaves_no_folder(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "outputs" / "run")
    with pytest.raises(RunError, match="can't go on"):
        fails(run)
    assert not run.path.exists()
    run.check(resume=False)


def test_metrics_stay_after_an_error(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(RunError, match="can't go on"):
        fails(run, {"step": 1})
    names = {path.name for path in run.path.iterdir()}
    assert names == {"config.yaml", "run.json", "summary.json", "metrics.jsonl", "checkpoints"}


def test_cut_off_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_jsonl(path, {"step": 1}, {"step": 2}, {"step": 3})
    with path.open("ab") as file:
        file.write('{"step": 4, "text": "思'.encode()[:-1])
    assert [row["step"] for row in read_jsonl(path)] == [1, 2, 3]
    keep_jsonl(path, lambda row: row["step"] <= 2)
    append_jsonl(path, {"step": 3, "again": True})
    assert list(read_jsonl(path)) == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert RunDir(tmp_path).summary() == {"a": 1}


def test_summaries_grow(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.add_summary(a=1)
    run.add_summary(b=2)
    assert run.summary() == {"a": 1, "b": 2}
