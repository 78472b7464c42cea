"""`python -m rl.grpo --config gsm8k.yaml` and its doctor, on a tiny model and for two steps."""

import json
import os
from pathlib import Path

import pytest

from configs.run_directory import read_jsonl
from data.arithmetic import generate_problems
from data.problem_file import write_problems
from models.backend import RUNNER
from rl.doctor import main as doctor
from rl.grpo import main
from rl.policy_check import ROUNDING_16
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("gsm8k")
    problems = generate_problems(24, seed=1)
    train, test = folder / "train.jsonl", folder / "test.jsonl"
    write_problems(train, problems[:20])
    write_problems(test, problems[20:])
    # bitsandbytes' 4 bits and paged optimizer are for a GPU, where Unsloth's autocast is bf16 by itself
    return [
        "--config=gsm8k.yaml", f"model.name={tiny_model(folder / 'model')}", "model.precision=bf16",
        f"data={{path: {train}}}", f"eval.data={{path: {test}}}", "eval.k=2", "eval.max_tokens=16",
        "trainer.max_completion_length=24", "trainer.max_steps=2", "trainer.save_steps=1", "trainer.optim=adamw_torch",
        "trainer.bf16=true", f"output_dir={folder / 'run'}",
    ]  # fmt: skip


def test_gsm8k_runs_to_its_end(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    main(arguments)
    run = Path(arguments[-1].partition("=")[2])
    assert "rollouts: unsloth (" in capfd.readouterr().out
    steps = [row for row in read_jsonl(run / "metrics.jsonl") if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2]
    assert all(row["logprob_gap_mean"] < ROUNDING_16 for row in steps if "logprob_gap_mean" in row)
    assert "sampling/importance_sampling_ratio/mean" in steps[0]
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert {"greedy_before", "greedy_after"} <= json.loads((run / "summary.json").read_text()).keys()
    assert RUNNER not in os.environ


def test_doctor_finds_nothing_with_a_budget(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    budget = ["rollout.budget.max_thinking=4", "rollout.budget.max_answer=4", "think_format=s1"]
    assert doctor([*arguments, *budget]) == 0
    assert os.environ[RUNNER] == "0"
    shown = capfd.readouterr().out
    assert "engine: unsloth and the model differ by" in shown
    assert " and 0 forced" not in shown
