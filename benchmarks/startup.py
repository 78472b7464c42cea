"""How long a user waits for `--help` and for a config error: whole processes, medians.

python benchmarks/startup.py [--json FILE] [--runs 7]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "help_seconds": (["rl.grpo", "--help"], 0),
    "config_error_seconds": (["rl.grpo", "--config", "gsm8k_cpu.yaml", "trainer.max_step=3"], 2),
}


def main() -> None:
    """Time each command, print the medians with their spread, write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    figures = {}
    for name, (command, code) in COMMANDS.items():
        seconds = sorted(timed(command, code) for _ in range(args.runs + 1))[: args.runs]  # the first may be cold
        figures[name] = round(statistics.median(seconds), 3)
        print(f"{name}: {figures[name]:.2f} s (from {seconds[0]:.2f} to {seconds[-1]:.2f}, {args.runs} runs)")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


def timed(command: list[str], code: int) -> float:
    """Wall seconds of `python -m …`; raises when it does not exit with `code`."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != code:
        raise SystemExit(f"{command}: exit code {done.returncode}, expected {code}\n{done.stderr}")
    return seconds


if __name__ == "__main__":
    main()
