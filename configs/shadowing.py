"""Finds files of the user's that hide a package of ours, such as a `models.py` beside `my_rewards.py`.

Our packages have short names, and `python -m rl.grpo` looks into the working directory first. This file imports
nothing of ours and is run by its path, because `configs` itself may be hidden.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
PACKAGES = (
    "configs", "data", "report", "budget_forcing", "models", "rewards", "curation", "evaluation", "training", "sft",
    "rl", "release", "serving", "self_improve", "board", "mull",
)  # fmt: skip


def hidden_package() -> str | None:
    """One line about the first package of ours that something else hides; None where none is hidden."""
    for name in PACKAGES:
        spec = PathFinder.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        file = Path(spec.origin).resolve()
        if file.parent.parent != HOUSE and file.parent != HOUSE / name:
            return (
                f"{spec.origin} hides Mull's own package `{name}`; rename it, run from another folder, or use the "
                "`mull` command, which finds its own packages first"
            )
    return None


def refuse_hidden_package() -> None:
    """Where a package is hidden, end a command with that line and exit code 2; elsewhere raise `ImportError`."""
    line = hidden_package()
    if line is None:
        return
    if sys.argv[:1] == ["-m"]:  # what Python puts there while `python -m` looks for its module
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(2)
    raise ImportError(line)
