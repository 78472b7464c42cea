"""One table over runs that build on each other: accuracy before the first, and after each.

python -m report.ladder outputs/sft/demo outputs/grpo/demo
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from configs.command import run_command
from configs.errors import RunError
from report.page import percent_interval


def main(argv: list[str]) -> None:
    """Read each run's `summary.json` and print the table."""
    parser = argparse.ArgumentParser(prog="python -m report.ladder", description="Accuracy along a chain of runs.")
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, in the order they were trained")
    runs = parser.parse_args(argv).runs

    table = Table(title="Held-out accuracy, 95% intervals")
    for column in ("", "greedy", "avg@k at the training temperature", "problems"):
        table.add_column(column)
    for cells in rows(runs):
        table.add_row(*cells)
    Console().print(table)
    for run in runs:
        print(f"adapter: {run / 'adapter'}\nreport:  {run / 'report.html'}  (open it in a browser)")


def rows(runs: list[Path]) -> list[tuple[str, str, str, str]]:
    """(stage, greedy, avg@k, problems) before the first run and after each; raises `RunError` for a missing summary."""
    summaries = [read_summary(run) for run in runs]
    stations = [("before", summaries[0], "before")]
    for run, summary, following in zip(runs, summaries, [*summaries[1:], {}], strict=True):
        # the next run measures its start, so a run need not measure its own end
        own = "greedy_after" in summary
        stations.append((f"after {run.name}", summary if own else following, "after" if own else "before"))
    return [row(*station) for station in stations if f"greedy_{station[2]}" in station[1]]


def row(name: str, summary: dict[str, Any], when: str) -> tuple[str, str, str, str]:
    """A station of the chain: what the summary says of the accuracy `before` or `after`."""
    greedy, average = summary[f"greedy_{when}"], summary[f"avg_at_k_{when}"]
    return name, percent_interval(greedy), f"{percent_interval(average)}, k = {average['k']}", str(greedy["n"])


def read_summary(run: Path) -> dict[str, Any]:
    """The run's `summary.json`."""
    path = run / "summary.json"
    if not path.is_file():
        raise RunError(f"{run}: no summary.json, so this is no finished run")
    return dict(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    run_command(main)
