"""Run folders found below a root, alive, done, broken or hidden behind a link."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from board.folder import Folder
from board.runs import RunLine, find_runs, total_steps
from configs.errors import RunError
from configs.run_directory import write_json

RECORD = {"stage": "grpo", "command": "python -m rl.grpo --config demo.yaml", "versions": {}}


def make(path: Path, files: dict[str, Any]) -> Path:
    path.mkdir(parents=True)
    for name, value in files.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (path / name).write_text(text, encoding="utf-8")
    return path


def grpo(root: Path, name: str = "grpo/demo", files: dict[str, Any] | None = None) -> Path:
    config = {"model": {"name": "m"}, "data": {"source": "arithmetic", "path": None}, "trainer": {"max_steps": 10}}
    rows = "".join(json.dumps({"step": at, "step_seconds": 2.0}) + "\n" for at in (1, 2, 3, 4))
    return make(root / name, {"run.json": RECORD, "config.yaml": config, "metrics.jsonl": rows} | (files or {}))


def only(root: Path) -> RunLine:
    [line] = find_runs(Folder(root))
    return line


def test_a_run_under_way_says_how_long(tmp_path: Path) -> None:
    grpo(tmp_path)
    line = only(tmp_path)
    assert (line.name, line.stage, line.state, line.model, line.data) == (
        "grpo/demo", "grpo", "running", "m", "arithmetic",
    )  # fmt: skip
    assert (line.step, line.steps, line.seconds_left) == (4, 10, 12.0)


def test_a_quiet_run_has_stopped(tmp_path: Path) -> None:
    run = grpo(tmp_path)
    for file in run.iterdir():
        os.utime(file, (1e9, 1e9))
    assert only(tmp_path).state == "stopped"
    assert only(tmp_path).seconds_left is None


def test_a_finished_run_shows_its_figure(tmp_path: Path) -> None:
    figure = {"value": 0.365, "low": 0.301, "high": 0.434, "n": 200}
    run = grpo(tmp_path, files={"summary.json": {"greedy_after": figure}})
    (run / "adapter").mkdir()
    (run / "report.html").write_text("")
    line = only(tmp_path)
    assert line.state == "done"
    assert line.headline == "36.5% [30.1, 43.4]"
    assert not line.is_before
    (run / "summary.json").write_text(json.dumps({"greedy_before": figure}))
    assert only(tmp_path).is_before


def test_an_evaluation_shows_its_best_point(tmp_path: Path) -> None:
    points = [{"accuracy": None}, *({"accuracy": {"value": v, "low": 0, "high": 1}} for v in (0.1, 0.4))]
    make(tmp_path / "eval" / "x", {"run.json": RECORD | {"stage": "eval"}, "results.json": {"points": points}})
    assert only(tmp_path).headline == "40.0% [0.0, 100.0]"
    assert only(tmp_path).state == "done"


def test_rounds_are_done_when_the_loop_says_why(tmp_path: Path) -> None:
    figure = {"value": 0.365, "low": 0.301, "high": 0.434, "n": 200}
    record = RECORD | {"stage": "self_improve"}
    run = make(tmp_path / "self_improve" / "x", {"run.json": record, "rounds.jsonl": "{}\n"})
    step = make(run / "round-1" / "sft", {"metrics.jsonl": "{}\n"}) / "metrics.jsonl"
    for file in run.iterdir():
        os.utime(file, (1e9, 1e9))
    assert only(tmp_path).state == "running"  # a step of it writes
    os.utime(step, (1e9, 1e9))
    assert only(tmp_path).state == "stopped"
    (run / "summary.json").write_text(json.dumps({"stopped": "2 rounds", "after": figure}))
    assert only(tmp_path).state == "done"
    assert only(tmp_path).headline == "36.5% [30.1, 43.4]"
    os.utime(run / "summary.json", (1e9, 1e9))
    os.utime(run / "rounds.jsonl", (2e9, 2e9))
    assert only(tmp_path).state != "done"  # it went on


@pytest.mark.parametrize(
    "files",
    [
        {"run.json": '{"stage": "gr'},
        {"run.json": RECORD | {"of a later version": 1}},
        {"run.json": RECORD, "config.yaml": "a: [1"},
        {"run.json": RECORD, "summary.json": "[]"},
        {"run.json": RECORD, "summary.json": '{"greedy_after": {"value": 1}}'},
        {"run.json": RECORD, "results.json": '{"points": [{"accuracy": 3}]}'},
        {"run.json": RECORD, "metrics.jsonl": '{"step": "x"}\n'},
    ],
)
def test_a_run_that_cant_be_read_says_why(tmp_path: Path, files: dict[str, Any]) -> None:
    make(tmp_path / "sft" / "x", files)
    grpo(tmp_path)
    lines = {line.name: line for line in find_runs(Folder(tmp_path))}
    assert lines["grpo/demo"].state == "running"
    assert lines["sft/x"].state == "broken"
    assert lines["sft/x"].fault
    assert "\n" not in lines["sft/x"].fault


def test_a_half_written_run_is_listed(tmp_path: Path) -> None:
    make(tmp_path / "new", {"config.yaml": "model: {name: m}\nrewards: []\n"})
    assert (only(tmp_path).stage, only(tmp_path).state, only(tmp_path).step) == ("grpo", "running", 0)


def test_what_lies_in_a_run_is_its_own(tmp_path: Path) -> None:
    run = grpo(tmp_path)
    grpo(run, "checkpoints/inner")
    grpo(tmp_path, ".board/hidden")
    assert only(tmp_path).name == "grpo/demo"


def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside = grpo(tmp_path / "outside")
    root = tmp_path / "root"
    run = grpo(root)
    write_json(outside / "secret.json", {"greedy_after": {"value": 1, "low": 1, "high": 1, "n": 1}})
    (root / "link").symlink_to(outside)
    (run / "summary.json").symlink_to(outside / "secret.json")
    assert only(root).headline == ""
    for name in ("../outside", "link", "/etc", "", "grpo/../..", "x\0y", "a" * 5000):
        with pytest.raises(RunError):
            Folder(root).path(name)


def test_epochs_come_to_steps() -> None:
    assert total_steps({"trainer": {"max_steps": 7}}, {}) == 7
    assert total_steps({"trainer": {"num_train_epochs": 2}}, {"step": 10, "epoch": 0.5}) == 40
    assert total_steps({}, {}) is None
