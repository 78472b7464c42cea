"""`python -m rl.doctor` on a recipe: a line for everything, and an exit code."""

from pathlib import Path

import pytest

from rl import doctor
from tests.tiny import tiny_model
from training.preflight import Finding, passed


def arguments(folder: Path, *more: str) -> list[str]:
    return [
        "--config=demo.yaml", f"model.name={tiny_model(folder / 'model')}", "model.precision=fp32", "eval=null",
        "data.limit=8", "trainer.per_device_train_batch_size=4", "trainer.max_completion_length=24",
        f"output_dir={folder / 'run'}", *more,
    ]  # fmt: skip


def test_doctor_prints_every_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = ["rollout.budget.max_thinking=4", "rollout.budget.max_answer=4"]
    assert doctor.main(arguments(tmp_path, *budget)) == 0
    out = capsys.readouterr().out
    names = ["versions", "memory", "prompt", "tokens", "disk", "hub", "lengths", "red team"]
    for name in [*names, "completion", "loss mask", "reward correctness", "engine"]:
        assert f"  {name}: " in out
    assert "forced ones are not" in out
    assert " and 0 forced" not in out
    assert not (tmp_path / "run").exists()


def test_doctor_looks_at_the_teacher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = f"teacher={{model: {{name: {tiny_model(tmp_path / 'teacher', seed=1)}, precision: fp32}}}}"
    assert doctor.main(arguments(tmp_path, teacher, "rewards=[]")) == 0
    out = capsys.readouterr().out
    assert "with weights of its own; it sees what the student sees; weight 1; no rewards" in out
    assert ", the teacher's 0.00 GiB" in out
    assert "reward" not in out.replace("no rewards", "")
    gone = "teacher={server: {url: 'http://127.0.0.1:9/v1', model: big, retries: 0}}"
    assert doctor.main(arguments(tmp_path, gone)) == 1
    assert "failed  teacher: http://127.0.0.1:9/v1: can't be reached" in capsys.readouterr().out


@pytest.mark.parametrize(("settings", "line"), [(["trainer.top_p=0.9"], True), ([], False)])
def test_truncation_says_what_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: list[str], line: bool
) -> None:
    assert doctor.main(arguments(tmp_path, *settings)) == 0
    assert ("log-probabilities: among the tokens kept by top_p 0.9, in the loss" in capsys.readouterr().out) == line


def test_failed_line_sets_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = ["rollout.budget.max_thinking=12", "rollout.budget.max_answer=11"]
    assert doctor.main(arguments(tmp_path, *budget)) == 1
    out = capsys.readouterr().out
    assert "failed  lengths: budget: prompt" in out
    assert "1 failed" in out


def test_long_held_out_prompt_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held_out = "eval={data: {source: arithmetic, limit: 4}, max_tokens: 250}"
    assert doctor.main(arguments(tmp_path, held_out)) == 1
    assert "failed  lengths: 4 of 4 prompts don't fit" in capsys.readouterr().out


def test_warned_line_is_not_fine() -> None:
    fine = [passed(str(number), "well") for number in range(11)]
    warned, failed = Finding("hub", "warned", "no token", "log in"), Finding("disk", "failed", "full", "tidy up")
    assert doctor.tally(fine) == "11 of 11 lines are fine"
    assert doctor.tally([*fine, warned]) == "11 of 12 lines are fine, 1 warned"
    assert doctor.tally([*fine, warned, failed]) == "11 of 13 lines are fine, 1 warned, 1 failed"
