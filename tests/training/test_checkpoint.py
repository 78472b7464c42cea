"""Which checkpoint a run goes on from."""

import json
from pathlib import Path

import pytest

from configs.run_directory import RunDir, append_jsonl, read_jsonl
from tests.rl.test_processes import launch
from training.checkpoint import checkpoint_to_resume

pytestmark = pytest.mark.engine


def checkpoint(run: RunDir, step: int, state: str | None) -> Path:
    folder = run / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    if state is not None:
        (folder / "trainer_state.json").write_text(state)
    append_jsonl(run / "metrics.jsonl", {"step": step})
    return folder


@pytest.mark.parametrize("state", [None, "", '{"epoch": 0.'])
def test_incomplete_checkpoint_is_set_aside(tmp_path: Path, state: str | None) -> None:
    run = RunDir(tmp_path)
    whole = checkpoint(run, 2, json.dumps({"global_step": 2}))
    checkpoint(run, 4, state)
    assert checkpoint_to_resume(run) == str(whole)
    assert [row["step"] for row in read_jsonl(run / "metrics.jsonl")] == [2]
    assert {p.name.partition("-4-")[0] for p in (run / "checkpoints").iterdir()} == {
        "checkpoint-2",
        "incomplete-checkpoint",
    }


def test_run_without_checkpoint_starts_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDir(tmp_path)
    checkpoint(run, 2, None)
    assert checkpoint_to_resume(run) is None
    assert list(read_jsonl(run / "metrics.jsonl")) == []
    assert "starts from its beginning" in capsys.readouterr().out


def test_one_process_tidies_a_resumed_run(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    whole = checkpoint(run, 2, json.dumps({"global_step": 2}))
    checkpoint(run, 4, None)
    launch(3, "tests.training.resuming", str(tmp_path))
    assert [path.name for path in tmp_path.glob("tidied-*")] == ["tidied-0"]
    assert {path.name: path.read_text() for path in tmp_path.glob("loaded-*")} == {
        f"loaded-{rank}": str(whole) for rank in range(3)
    }
