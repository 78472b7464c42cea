"""The commands as people type them: every recipe that runs on a CPU for two steps, and every mistake in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import tiny_model

ROOT = Path(__file__).parent.parent
DATA = os.environ.get("MULL_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="MULL_DATA names no folder of real data")


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m …` from the repository's root."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )


def refused(*arguments: str) -> str:
    """The one line that a refused command prints."""
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0].removeprefix("error: ")


SMALL = ["trainer.max_steps=2", "eval.k=2", "eval.max_tokens=24"]
GRPO_SMALL = [
    *SMALL,
    "trainer.per_device_train_batch_size=4",
    "trainer.gradient_accumulation_steps=1",
    "trainer.max_completion_length=24",
]


@pytest.mark.recipe
def test_demo_recipes_run_in_order(tmp_path: Path) -> None:
    sft, grpo = tmp_path / "sft", tmp_path / "grpo"
    small = ["eval.data.limit=4", "trainer.per_device_train_batch_size=4"]
    done = run("sft.train", "--config", "demo.yaml", f"output_dir={sft}", *SMALL, *small)
    assert done.returncode == 0, done.stderr
    done = run("rl.grpo", "--config", "demo.yaml", f"output_dir={grpo}", f"model.adapter={sft / 'adapter'}",
               *GRPO_SMALL, "eval.data.limit=4", "trainer.save_steps=1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (grpo / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert {"step", "reward", "rewards/correctness", "completion_tokens", "step_seconds"} <= rows[0].keys()
    summary = json.loads((grpo / "summary.json").read_text())
    for name in ("greedy_before", "greedy_after", "avg_at_k_before", "avg_at_k_after"):
        assert {"value", "low", "high", "n"} <= summary[name].keys()
        assert summary[name]["n"] == 4
    assert len((grpo / "rollouts.jsonl").read_text().splitlines()) == 8
    assert (grpo / "adapter" / "adapter_model.safetensors").is_file()
    assert (grpo / "adapter" / "chat_template.jinja").is_file()
    assert "<svg" in (grpo / "report.html").read_text()
    assert (sft / "truncation.json").is_file()
    table = run("report.ladder", str(sft), str(grpo))
    assert table.returncode == 0, table.stderr
    assert [name in table.stdout for name in ("before", "after sft", "after grpo")] == [True] * 3

    again = run("rl.grpo", "--config", "demo.yaml", f"output_dir={grpo}", *GRPO_SMALL)
    assert again.returncode == 2
    assert "is in use; go on with --resume" in again.stderr
    resumed = run("rl.grpo", "--config", "demo.yaml", f"output_dir={grpo}", f"model.adapter={sft / 'adapter'}",
                  *GRPO_SMALL, "eval.data.limit=4", "trainer.save_steps=1", "trainer.max_steps=3",
                  "--resume")  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    assert [json.loads(line)["step"] for line in (grpo / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]


@pytest.mark.recipe
def test_long_recipe_runs(tmp_path: Path) -> None:
    done = run("rl.grpo", "--config", "arithmetic_cpu.yaml", f"output_dir={tmp_path / 'run'}", *GRPO_SMALL,
               "eval.data.limit=4", "tracking.to=wandb", "tracking.mode=offline")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


@pytest.mark.recipe
def test_tracked_run_is_in_trackio(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    done = run("rl.grpo", "--config", "demo.yaml", f"output_dir={tmp_path / 'run'}", *GRPO_SMALL, "eval.data.limit=4",
               f"model.name={model}", "model.max_length=512", "tracking.to=trackio",
               env={"TRACKIO_DIR": str(tmp_path / "trackio")})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "trackio").glob("*.db"))


@pytest.mark.recipe
@needs_data
def test_gsm8k_runs_from_local_file(tmp_path: Path) -> None:
    done = run("rl.grpo", "--config", "gsm8k_cpu.yaml", f"data.path={DATA}/gsm8k/train.jsonl",
               f"output_dir={tmp_path / 'run'}", *GRPO_SMALL, "eval.problems=4", "tracking.to=tensorboard")  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()[0])
    assert row["gold"].replace(",", "").lstrip("-").isdigit()
    assert list((tmp_path / "run" / "tensorboard").rglob("events*"))


@pytest.mark.recipe
def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = run("rl.grpo", "--config", "demo.yaml", f"output_dir={tmp_path / 'run'}", "--dry-run")
    assert done.returncode == 0, done.stderr
    for said in ("2000 to train on, 200 held out", "16 prompts × 4", "135M weights", "GiB of base weights"):
        assert said in done.stdout
    assert not (tmp_path / "run").exists()


def test_help_imports_no_library() -> None:
    code = "import runpy, sys; sys.argv = ['grpo', '--help']\n"
    code += "try:\n    runpy.run_module('rl.grpo', run_name='__main__')\n"
    code += "finally:\n    print(sorted({'torch', 'transformers', 'trl', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainer.max_step=3"], "did you mean 'max_steps'?"),
        (["data.path=/nowhere.jsonl", "data.source=file"], "/nowhere.jsonl"),
        (["model.name=no such model"], "is no folder, no GGUF file and no hub id"),
        (["rewards.0.name=corectness"], "correctness"),
        (["trainer.num_generations=3"], "does not divide"),
        (["model.max_length=100"], "prompts don't fit"),
    ],
)
def test_mistake_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    target = tmp_path / "run"
    assert message in refused("rl.grpo", "--config", "demo.yaml", f"output_dir={target}", *arguments)
    assert not target.exists()


@pytest.mark.recipe
@pytest.mark.recipe
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no problems in it"),
        ('{"question": "1 + 1?", "answer": "2"}\n{"question": "2 + 2?"}\n', "2"),
        ('{"question": "1 + 1?", "answer": "2"}\n{"quest\n', "2"),
    ],
)
def test_bad_data_row_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(content)
    line = refused("rl.grpo", "--config", "demo.yaml", f"output_dir={tmp_path / 'run'}", "data.source=file",
                   f"data.path={path}", "data.params={}")  # fmt: skip
    assert "problems.jsonl" in line
    assert message in line


def test_gpu_recipe_names_a_cpu_recipe() -> None:
    from models.backend import has_gpu

    if has_gpu():
        pytest.skip("this machine has a GPU")
    assert "python -m rl.grpo --config gsm8k_cpu.yaml" in refused("rl.grpo", "--config", "gsm8k.yaml")
