"""Exporting a trained run and proving it: how long the gate takes, what agrees, and how much memory exporting needs.

    python benchmarks/export.py [--json FILE] [--run RUN]

Without `--run` an adapter is trained first: `configs/sft/demo.yaml` for 20 steps. `memory_ratio` is the most memory
that exporting took over what Python and its libraries hold once imported, over the size of the merged weights.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not this folder: its modules would hide ours

from release.gate import gate

TARGETS = ("adapter", "merged16", "gguf:q8_0")  # what configs/publish/demo.yaml publishes

MEASURED = """
import json, resource, sys
from configs.command import prepare_libraries
prepare_libraries()
import gguf, peft, torch, transformers, bitsandbytes
from release import formats, merge
import transformers.models.llama.modeling_llama
started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
formats.write_exports(sys.argv[1], sys.argv[3:], sys.argv[2])
print(json.dumps([started * 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


def export_measured(run: Path, out: Path, targets: tuple[str, ...]) -> tuple[int, int]:
    """(bytes held before, most bytes held) by a process that exports."""
    words = [sys.executable, "-c", MEASURED, str(run), str(out), *targets]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    before, most = json.loads(done.stdout.splitlines()[-1])
    return before, most


def trained(folder: Path) -> Path:
    """A run of a few steps."""
    words = ["-m", "sft.train", "--config", "demo.yaml", f"output_dir={folder}", "trainer.max_steps=20", "eval.when=[]"]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
    return folder


def main() -> None:
    """Export, gate, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = args.run or trained(Path(scratch) / "run")
        figures: dict[str, Any] = {}
        out = Path(scratch) / "exports"
        before, most = export_measured(run, out, TARGETS)
        merged = sum(path.stat().st_size for path in (out / "merged16").glob("*.safetensors"))
        figures["memory_ratio"] = round((most - before) / merged, 3)
        figures["merged_bytes"], figures["held_before_bytes"], figures["most_bytes"] = merged, before, most
        report = gate(out, run)
        figures["gate_seconds"] = report.seconds
        found = {(check.export, check.name): check.figure for check in report.checks}
        figures["merged_top1"] = found.get(("merged16", "top1"))
        figures["gguf_top1"] = found.get(("gguf:q8_0", "top1"))
        figures["checks"] = {f"{export} {name}": figure for (export, name), figure in found.items()}
        figures["passed"] = report.passed
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
