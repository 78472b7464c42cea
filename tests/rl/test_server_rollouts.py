"""GRPO, then an evaluation of what it trained, on a vLLM server that `mull serve` started with the same recipe."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from configs.errors import EngineError
from configs.run_directory import read_jsonl
from evaluation import evaluate
from rl import grpo
from tests.tiny import tiny_model
from tests.vllm_env import free_port, serving

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of two recipes and the model, with a server at hand."""
    pytest.importorskip("vllm")
    folder = tmp_path_factory.mktemp("rollouts")
    port = free_port()
    engine = {"name": "server", "urls": [f"http://127.0.0.1:{port}/v1"], "adapters": str(folder / "adapters")}
    model = {"name": str(tiny_model(folder / "model")), "precision": "fp32", "max_length": 300}
    data = {"source": "arithmetic", "limit": 12, "params": {"largest": 20}}
    recipes: dict[str, dict[str, Any]] = {
        "grpo": {
            "model": model,
            "adapter": {"type": "lora", "r": 4, "alpha": 8},
            "data": data,
            "rewards": [{"name": "tests.rl.plugins:parity"}],
            "rollout": {"engine": engine, "budget": {"max_thinking": 12, "max_answer": 8}, "check_every": 1},
            "trainer": {
                "max_steps": 2, "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 40,
                "learning_rate": 1e-2, "save_strategy": "steps", "save_steps": 1,
            },
            "output_dir": str(folder / "run"),
        },
        "eval": {
            "model": model | {"adapter": str(folder / "run" / "adapter")},
            "engine": engine,
            "data": data | {"seed": 1},
            "budgets": [{"max_thinking": 8, "max_answer": 8}, {"max_thinking": 16, "max_answer": 8}],
            "output_dir": str(folder / "evaluation"),
        },
    }  # fmt: skip
    for name, recipe in recipes.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    words = [sys.executable, "-m", "serving.serve", str(folder / "grpo.yaml"), "--port", str(port)]
    with serving([*words, "--", "--enforce-eager", "--max-num-seqs", "16"], port, folder / "log"):
        yield folder


def test_grpo_trains_on_what_the_server_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grpo.main(["--config", str(folder / "grpo.yaml")])
    shown = capsys.readouterr().out
    assert "rollouts: server (" in shown
    assert "served at http://127.0.0.1" in shown
    rows = list(read_jsonl(folder / "run" / "metrics.jsonl"))
    assert max(row["logprob_gap_mean"] for row in rows if "logprob_gap_mean" in row) < 1e-3  # at each step
    assert any(row.get("forced_share") for row in rows)
    rollouts = list(read_jsonl(folder / "run" / "rollouts.jsonl"))
    assert {row["step"] for row in rollouts} == {1, 2}
    assert {row["stop"] for row in rollouts} >= {"limit"}


def test_evaluation_asks_the_server_with_the_adapter(folder: Path) -> None:
    evaluate.main(["--config", str(folder / "eval.yaml")])
    here = ["engine.name=transformers", "engine.urls=[]", "engine.adapters=null", f"output_dir={folder / 'here'}"]
    evaluate.main(["--config", str(folder / "eval.yaml"), *here])
    assert texts(folder / "evaluation") == texts(folder / "here")


def texts(run: Path) -> dict[tuple[str, str], str]:
    return {(row["id"], row["point"]): row["text"] for row in read_jsonl(run / "samples.jsonl")}


def test_run_whose_server_is_gone_keeps_everything(folder: Path) -> None:
    for child in psutil.Process().children():
        if child.status() != psutil.STATUS_ZOMBIE and "--enforce-eager" in child.cmdline():
            for process in (*child.children(recursive=True), child):
                os.kill(process.pid, signal.SIGKILL)
    before = sorted(path.name for path in (folder / "run" / "checkpoints").iterdir())
    with pytest.raises(EngineError, match=r"http://127.0.0.1:\d+: can't be reached .* check engine.urls"):
        grpo.main(["--config", str(folder / "grpo.yaml"), "--resume", "trainer.max_steps=4"])
    assert sorted(path.name for path in (folder / "run" / "checkpoints").iterdir()) == before
