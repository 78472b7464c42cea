"""`rl.grpo` with the start model as its own teacher, from the command line to the report."""

from pathlib import Path

import pytest

from configs.run_directory import read_jsonl
from tests.rl.test_resume import command
from tests.tiny import tiny_model

pytestmark = pytest.mark.recipe

BUDGETS = ["rollout.budget={max_thinking: 6, max_answer: 6}", "teacher={self: true, budget: {max_thinking: 30}}"]


@pytest.mark.parametrize("teacher", [["teacher={self: true, sees: solution}"], BUDGETS], ids=["solution", "budget"])
def test_start_model_teaches(tmp_path: Path, teacher: list[str]) -> None:
    model = tiny_model(tmp_path / "model", scale=4.0)
    more = [
        "rollout.curriculum=false",
        "rollout.resamples=0",
        "model.max_length=512",
        "trainer.max_completion_length=24",
    ]
    run = tmp_path / "run"
    done = command(run, model, *more, *teacher, "rewards.0.name=correctness", "trainer.max_steps=2")
    assert done.returncode == 0, done.stderr
    assert "teacher: the model that training starts from, on the student's base weights; it " in done.stdout
    assert "teacher_kl" in done.stderr
    rows = list(read_jsonl(run / "metrics.jsonl"))
    assert [row["step"] for row in rows] == [1, 2]
    assert all(abs(row["teacher_kl"]) > 1e-4 and 0 < row["taught_share"] <= 1 for row in rows)
    assert "Reverse KL to the teacher" in (run / "report.html").read_text()
