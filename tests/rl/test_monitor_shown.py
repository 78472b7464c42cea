"""Where an alarm is seen: on the progress line, in `metrics.jsonl`, in `alarms.jsonl` and in the report."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from configs.errors import RewardError
from configs.run_directory import RunDir, read_jsonl
from data.problem import Problem
from data.think_format import XML
from report.training import write_training_report
from rewards.rollout import Rollout
from rl.monitor import Limits, Monitor
from rl.recorder import Recorder, Scored
from training.run_callback import RunCallback

pytestmark = pytest.mark.engine

CUT = [Rollout(Problem("p", "What is 6 · 7?", "42", "test"), f"<reasoning>{n}", XML, truncated=True) for n in range(4)]
SCORED = Scored(3, CUT, {"correctness": [0.0, 0.0, 0.0, 1.0]}, [0.0, 0.0, 0.0, 1.0], [-0.5, -0.5, -0.5, 1.5])


def recorder(run: RunDir, callback: RunCallback, on_alarm: str) -> Recorder:
    made = Recorder(run, callback, on_alarm)  # type: ignore[arg-type]
    made.monitor = Monitor(run / "alarms.jsonl", Limits(patience=1))
    return made


def test_warning_reaches_bar_metrics_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunDir(tmp_path)
    callback = RunCallback(run, ("reward",))
    state = SimpleNamespace(is_world_process_zero=True, max_steps=5, global_step=3)
    callback.on_train_begin(None, state, None)
    recorder(run, callback, "warn")(SCORED)
    callback.on_log(None, state, None, {"reward": 0.25})
    callback.on_train_end(None, state, None)
    message = "length_limit: 100% of the completions ran into the length limit"
    assert f"ALARM {message}" in " ".join(capsys.readouterr().err.split())
    assert [row["alarms"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [[message]]
    assert f"{message} (step 3)" in write_training_report(tmp_path).read_text(encoding="utf-8")
    (alarm,) = read_jsonl(tmp_path / "alarms.jsonl")
    assert [sample["text"] for sample in alarm["samples"]] == [rollout.text for rollout in CUT]


def test_stopped_run_reports_the_alarm(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with pytest.raises(RewardError, match="stopped at step 3 by an alarm: length_limit"):
        recorder(run, RunCallback(run, ("reward",)), "stop")(SCORED)
    assert "ran into the length limit (step 3)" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(list(read_jsonl(tmp_path / "rollouts.jsonl"))) == len(CUT)
