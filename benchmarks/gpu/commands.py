"""The way of a whole run: exports and their gate, the tests, the flagship recipe, the server."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.gpu.measure import ROOT, TINY, Figures, figures_of, measured, ran, twin
from configs.run_directory import RunDir, read_jsonl


def trained(folder: Path, tiny: bool) -> Path:
    """A short run of the demo's warm-up."""
    run = folder / "run"
    words = [f"output_dir={run}", "eval.when=[]", "trainer.max_steps=3", "model.backend=transformers"]
    if tiny:
        words += [
            f"model.name={twin(folder / 'tiny', TINY)}", "model.precision=fp32", "data.limit=16", "eval.data.limit=4",
            "trainer.per_device_train_batch_size=2", "eval.max_tokens=8",
        ]  # fmt: skip
    measured("sft.train", "--config", "demo.yaml", *words)
    return run


def gate(tiny: bool) -> Figures:
    """Every export, loaded again in a fresh process: its checks and their figures."""
    targets = "merged16" if tiny else "adapter,merged16,nf4,gguf:q8_0"
    with tempfile.TemporaryDirectory() as folder:
        run = trained(Path(folder), tiny)
        out = Path(folder) / "exports"
        started = time.perf_counter()
        done = ran("-m", "release.export", str(run), "--to", targets, "--out", str(out))
        yield "export_exit_code", done.returncode
        yield "export_seconds", time.perf_counter() - started
        yield "export_said", (done.stderr or done.stdout).strip()[-300:]
        if (out / "gate.json").is_file():
            yield "gate", json.loads((out / "gate.json").read_text(encoding="utf-8"))


def tests(tiny: bool) -> Figures:
    """The engines' and the budgets' tests."""
    del tiny
    done = ran("-m", "pytest", "-q", "-m", "engine", "tests/models", "tests/budget_forcing")
    yield "tests_exit_code", done.returncode
    yield "tests_said", done.stdout.strip().splitlines()[-12:]


def flagship(tiny: bool) -> Figures:
    """gsm8k.yaml as it is; needs the network, or its model and data in the cache."""
    del tiny
    doctor = ran("-m", "rl.doctor", "--config", "gsm8k.yaml")
    yield "doctor_exit_code", doctor.returncode
    yield "doctor_said", (doctor.stdout + doctor.stderr).strip().splitlines()[-20:]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words = ["trainer.max_steps=20", "eval.data.limit=40", f"output_dir={run}"]
        used = measured("rl.grpo", "--config", "gsm8k.yaml", *words)
        yield "gsm8k_peak_gib", used["peak_gib"]
        yield "gsm8k_20_steps_seconds", used["seconds"]
        yield "gsm8k_metrics", list(read_jsonl(run / "metrics.jsonl"))[-3:]
        summary = RunDir(run).summary()
        yield "gsm8k_summary", {key: value for key, value in summary.items() if "before" in key or "after" in key}


def serving(tiny: bool) -> Figures:
    """The server comes up with a trained adapter, with no CUDA compiler at hand; the budgets' own benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        run = trained(Path(folder), tiny)
        started = time.perf_counter()
        words = [sys.executable, "-m", "serving.serve", str(run), "--port", "8123"]
        server = subprocess.Popen(words, cwd=ROOT, env=os.environ | {"CUDA_HOME": ""})
        try:
            while server.poll() is None and not _answers("http://127.0.0.1:8123/health"):
                time.sleep(1)
            yield "server_is_up", server.poll() is None
            yield "server_start_seconds", time.perf_counter() - started
        finally:
            server.terminate()
            server.wait()
    yield from figures_of("budget_forcing")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
