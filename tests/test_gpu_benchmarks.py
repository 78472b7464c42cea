"""`benchmarks/gpu/run.py` on a CPU: each part runs on tiny shapes, and one that dies costs only itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.part import PACKAGES
from benchmarks.gpu.run import PARTS

ROOT = Path(__file__).parents[1]
TINY = [name for name, part in PARTS.items() if part.is_tiny_too]


def run(out: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    words = [sys.executable, "benchmarks/gpu/run.py", "--out", str(out), *arguments]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}


@pytest.mark.recipe
@pytest.mark.parametrize("name", TINY)
def test_part_runs_from_end_to_end(tmp_path: Path, name: str) -> None:
    code, results = run(tmp_path / "gpu.json", "--tiny", "--parts", name)
    assert (code, results[name]["state"]) == (0, "done"), results
    figures = results[name]["figures"]
    assert {"device", "torch"} < set(figures)
    assert len(set(figures) - {"device", "capability", "cuda", *PACKAGES}) >= 2
    for key, value in figures.items():
        if key.endswith("_gap"):
            assert value < (0.1 if "bfloat16" in key else 1e-4), key
        if key.endswith("_equal_share") or key == "fp32_greedy_texts_equal_to_cpu":
            assert value == 1.0, key


def test_part_without_time_costs_only_itself(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    out.write_text('{"gate": {"state": "done"}}')
    code, results = run(out, "--tiny", "--parts", "trl,sampling", "--minutes", "0.001")
    assert code == 1
    assert results["gate"] == {"state": "done"}  # of an earlier session
    assert results["trl"]["state"] == "left out: has no tiny shape"
    assert results["sampling"]["state"].startswith("stopped after")


def test_unknown_part_is_refused() -> None:
    words = [sys.executable, "benchmarks/gpu/run.py", "--parts", "samplings"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'samplings' is none of sampling, attention" in done.stderr
