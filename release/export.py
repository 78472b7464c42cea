"""A trained run in the forms that other programs load, each checked against the trained model.

    python -m release.export RUN --to adapter,merged16,nf4,gguf:f16,gguf:q8_0 [--out FOLDER]

Writes the exports and `gate.json` (every check with its figure) into FOLDER; exit code 2 where a check fails.
"""

import argparse

from configs.command import prepare_libraries, run_command


def main(argv: list[str]) -> None:
    """Export → gate."""
    parser = argparse.ArgumentParser(prog="python -m release.export", description="Export a trained run.")
    parser.add_argument("run", help="the run folder of sft.train or rl.grpo")
    parser.add_argument(
        "--to", default="adapter,merged16", help="adapter, merged16, nf4, gguf:f16, gguf:q8_0, gguf:q4_k_m …"
    )
    parser.add_argument("--out", help="a new folder; default RUN/exports")
    args = parser.parse_args(argv)

    from pathlib import Path

    prepare_libraries()
    from release import formats, gate
    from training.finished_run import open_run

    gate.held_out(open_run(args.run))  # before minutes of work
    out = formats.export(
        args.run, [target.strip() for target in args.to.split(",")], args.out or Path(args.run) / "exports"
    )
    report = gate.gate(out, args.run)
    print(f"exports: {out}; gate: {out / 'gate.json'} ({report.seconds} s)")
    report.require()


if __name__ == "__main__":
    run_command(main)
