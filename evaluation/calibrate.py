"""The cheapest budget of which a run proves that it loses at most so much accuracy against its longest one.

    python -m evaluation.calibrate RUN [--loss 1] [--confidence 0.95] [--fixed] [--output FILE]

RUN is the folder of an evaluation under several budgets, or with `probes:`. Each budget and stopping rule is tested
against the longest budget (learn then test, arXiv 2110.01052) on the run's own questions; what is proven holds for
questions that are exchangeable with them. The budget and its promise go into `RUN/budget.yaml`, which `evaluate`,
`serve` and `chat` take as `--budget FILE`; the last two keep no stopping rule, which `--fixed` leaves out.
"""

import argparse
from pathlib import Path
from typing import Any

from configs.command import run_command
from configs.errors import ConfigError

NOTHING_PROVEN = 3
"""The exit code of a calibration that ran well and has nothing to promise."""
MOST_CONFIDENT = 0.999
"""Tests are exact to 1e-4."""


def main(argv: list[str]) -> int:
    """Parse the command line and calibrate; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.calibrate", description="A budget with a guarantee.")
    parser.add_argument("run", metavar="RUN", help="an evaluation's folder, with samples under several budgets")
    parser.add_argument("--loss", type=float, default=1.0, help="most that may be lost, in percentage points (1)")
    parser.add_argument("--confidence", type=float, default=0.95, help="how sure that has to be (0.95)")
    parser.add_argument(
        "--fixed", action="store_true", help="fixed budgets alone: serve and chat keep no stopping rule"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where it goes; default: RUN/budget.yaml")
    args = parser.parse_args(argv)
    found = calibrate(args.run, loss=args.loss, confidence=args.confidence, fixed=args.fixed, output=args.output)
    return 0 if found["chosen"] is not None else NOTHING_PROVEN


def calibrate(
    run: str | Path,
    *,
    loss: float = 1.0,
    confidence: float = 0.95,
    fixed: bool = False,
    output: str | Path | None = None,
) -> dict[str, Any]:
    """Choose the cheapest budget of `run` that is proven to lose at most `loss` percentage points of accuracy.

    Where the run was probed (`probes:`), a limit at every probe and rules that stop early are to choose from too, or
    with `fixed` no rule. Returns the `candidates` with their figures, the name of the one `chosen` (None: nothing is
    proven), the `verdict` in words and the `file` written, with the promise: `output`, else `budget.yaml` in the run's
    folder. Where nothing is proven no file is written. Raises a `MullError`.
    """
    if not 0 <= loss < 100:
        raise ConfigError(f"--loss: {loss:g}; give percentage points of accuracy, from 0 to below 100")
    if not 0.5 <= confidence <= MOST_CONFIDENT:
        raise ConfigError(f"--confidence: {confidence:g}; give a share from 0.5 to {MOST_CONFIDENT}, such as 0.95")
    from evaluation.calibration import run_calibration  # numpy

    return run_calibration(run, loss, confidence, fixed, None if output is None else Path(output))


if __name__ == "__main__":
    run_command(main)
