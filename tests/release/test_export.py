"""`python -m release.export`: refusals in one line, and the embedded model all the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import ModelError, RunError
from release.export import main
from tests.tiny_run import tiny_base, tiny_run

ROOT = Path(__file__).parents[2]


def test_refusal_precedes_export(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run folder \(no run\.json\)"):
        main([str(tmp_path)])
    run = tiny_run(tmp_path / "run", tiny_base(tmp_path / "base"))
    with pytest.raises(ModelError, match="'gguf' is none of adapter"):
        main([str(run), "--to", "adapter,gguf"])
    unmeasured = tiny_run(tmp_path / "unmeasured", tmp_path / "base", eval=None)
    with pytest.raises(RunError, match="holds no problems out"):
        main([str(unmeasured), "--to", "adapter"])
    assert not (run / "exports").exists()
    assert not (unmeasured / "exports").exists()


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )


@pytest.mark.recipe
def test_trained_embedded_model_passes_gate(tmp_path: Path) -> None:
    """A dozen steps that change it clearly; merged weights and q8_0 agree on 99% of tokens."""
    run = tmp_path / "run"
    steps = ["trainer.max_steps=12", "trainer.per_device_train_batch_size=4", "eval.when=[]"]
    done = python("sft.train", "--config", "demo.yaml", f"output_dir={run}", *steps, "eval.max_tokens=32")
    assert done.returncode == 0, done.stderr
    done = python("release.export", str(run), "--to", "merged16,gguf:q8_0")
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads((run / "exports" / "gate.json").read_text())
    figures = {(check["export"], check["name"]): check["figure"] for check in report["checks"]}
    assert report["passed"] is True
    assert figures["merged16", "top1"] >= 0.99
    assert figures["gguf:q8_0", "top1"] >= 0.99
    again = python("release.export", str(run))
    assert again.returncode == 2
    assert again.stderr.strip() == f"error: --out: {run / 'exports'} is in use; remove it, or name another"
