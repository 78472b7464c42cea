"""A trained run in the forms that other programs load, each checked against the trained model.

    python -m release.export RUN --to adapter,merged16,nf4,gguf:f16,gguf:q8_0 [--out FOLDER]

Writes the exports and `gate.json` (every check with its figure) into FOLDER; exit code 2 where a check fails.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from configs.command import prepare_libraries, run_command


def main(argv: list[str]) -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(prog="python -m release.export", description="Export a trained run.")
    parser.add_argument("run", help="the run folder of sft.train or rl.grpo")
    parser.add_argument(
        "--to", default="adapter,merged16", help="adapter, merged16, nf4, gguf:f16, gguf:q8_0, gguf:q4_k_m …"
    )
    parser.add_argument("--out", help="a new folder; default RUN/exports")
    args = parser.parse_args(argv)
    export(args.run, [target.strip() for target in args.to.split(",")], args.out)


def export(run: str | Path, targets: Sequence[str] = ("adapter", "merged16"), out: str | Path | None = None) -> Path:
    """Write a finished run in the forms `targets`, check each against the trained model, and return their folder.

    `run` is the folder of `sft.train` or `rl.grpo`, `out` a new folder (default `RUN/exports`). Raises `RunError` where
    a check fails or `run` is not finished, `ModelError` for a form that can't be made.
    """
    prepare_libraries()
    from release.gate import gate, held_out
    from training.finished_run import open_run

    held_out(open_run(run))  # refuses a run that can't be checked, before minutes of work
    from release.formats import write_exports

    folder = write_exports(run, targets, out or Path(run) / "exports")
    report = gate(folder, run)
    print(f"exports: {folder}; gate: {folder / 'gate.json'} ({report.seconds} s)")
    report.require()
    return folder


if __name__ == "__main__":
    run_command(main)
