"""Everything that has to be measured on a GPU, in the order that finds out most first; each part on its own.

    python benchmarks/gpu/run.py [--parts sampling,attention] [--minutes 30] [--out gpu.json] [--tiny] [--list]

A part is a process with a time limit: one that dies or hangs costs only itself, and what it had measured is kept. FILE
has the device's name and is written whole after every figure; running again replaces only the parts that ran. `--tiny`
takes shapes that a CPU computes in seconds: it proves that the parts run, its figures say nothing.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # not this folder: its modules would hide ours

from configs.run_directory import write_json


@dataclass(frozen=True, slots=True)
class Part:
    """A function of `benchmarks.gpu.<module>`, what it needs beside torch, and the most minutes that it may take."""

    module: str
    about: str
    minutes: float
    needs: tuple[str, ...] = ()
    is_tiny_too: bool = True


PARTS = {
    "sampling": Part("kernels", "the end of thinking drawn on the GPU as on the CPU; milliseconds, peak memory", 3),
    "attention": Part("kernels", "packed rows and shared prompts against padded rows, 1k to 8k tokens", 4),
    "decoding": Part("decoding", "the Transformers engine: greedy texts as on the CPU, tokens a second", 6),
    "autocast": Part(
        "decoding", "4-bit weights decoded with and without autocast: gap, speed, memory", 4, ("bitsandbytes",)
    ),
    "grpo": Part("training", "three GRPO steps of the demo, bf16 and nf4: log-probability gap, memory", 8),
    "sft": Part("training", "SFT in LoRA at 16,384 tokens: Qwen3-0.6B's and 4B's shapes, tokens a second", 8),
    "memory": Part("training", "the plan's memory against the measured: shapes of gsm8k.yaml and s1k.yaml", 9),
    "trl": Part("training", "steps of ours against plain TRL's", 9, is_tiny_too=False),
    "unsloth": Part("training", "the same SFT shapes, and s1k.yaml's, on Unsloth", 9, ("unsloth",), is_tiny_too=False),
    "gate": Part("commands", "a run's exports, each proven by the publish gate", 8),
    "tests": Part("commands", "the tests of engines and budgets, on this device", 9, ("pytest",), is_tiny_too=False),
    "flagship": Part(
        "commands", "doctor and 20 steps of gsm8k.yaml as it is", 20, ("unsloth", "vllm"), is_tiny_too=False
    ),
    "serving": Part(
        "commands", "the server starts, and budgets cost what they should", 9, ("vllm",), is_tiny_too=False
    ),
}


def missing(part: Part, tiny: bool) -> str:
    """Why the part can't run here; "" if it can."""
    absent = [name for name in part.needs if find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)} is not installed"
    return "has no tiny shape" if tiny and not part.is_tiny_too else ""


def run_part(name: str, part: Part, tiny: bool, seconds: float, figures: Path) -> dict[str, Any]:
    """Run one part in a process group of its own; what became of it, with the figures that it got to."""
    started = time.monotonic()
    words = [
        sys.executable,
        "-m",
        "benchmarks.gpu.part",
        part.module,
        name,
        str(figures),
        *(["--tiny"] if tiny else []),
    ]
    log = figures.with_suffix(".log")
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(timeout=seconds)
            state = "done" if code == 0 else f"failed with exit code {code}"
        except subprocess.TimeoutExpired:
            state = f"stopped after {seconds:.0f} s"
        finally:  # also what the part started: a server, an engine
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    found = json.loads(figures.read_text(encoding="utf-8")) if figures.is_file() else {}
    outcome = {"state": state, "seconds": round(time.monotonic() - started, 1), "figures": found}
    if state != "done":
        outcome["last_lines"] = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    return outcome


def main() -> int:
    """Run the parts in their order; exit code 1 if one failed."""
    parser = argparse.ArgumentParser(description="Measure everything that needs a GPU.")
    parser.add_argument("--parts", help="names, separated by commas; default: all, in their order")
    parser.add_argument("--minutes", type=float, default=90, help="for all parts together")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), metavar="FILE")
    parser.add_argument("--tiny", action="store_true", help="shapes for a CPU")
    parser.add_argument("--list", action="store_true", help="the parts, and what each needs")
    args = parser.parse_args()
    names = args.parts.split(",") if args.parts else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"--parts: {unknown[0]!r} is none of {', '.join(PARTS)}")
    if args.list:
        for name in names:
            reason = missing(PARTS[name], args.tiny)
            print(f"{name:10} ≤ {PARTS[name].minutes:g} min  {PARTS[name].about}{reason and f' ({reason})'}")
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    end = time.monotonic() + 60 * args.minutes
    for name in names:
        part, left = PARTS[name], end - time.monotonic()
        reason = missing(part, args.tiny) or ("" if left > 0 else "no time was left")
        if reason:
            results[name] = {"state": f"left out: {reason}"}
        else:
            figures = args.out.with_name(f"{args.out.stem}-{name}.json")
            figures.unlink(missing_ok=True)
            results[name] = run_part(name, part, args.tiny, min(60 * part.minutes, left), figures)
        write_json(args.out, results)
        print(f"{name}: {results[name]['state']}", flush=True)
        for key, value in results[name].get("figures", {}).items():
            print(f"    {key:44} {value}")
    return int(any(result["state"].startswith(("failed", "stopped")) for result in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
