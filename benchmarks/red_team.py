"""How many planted weaknesses of rewards an attack finds, and what it says against the shipped recipes.

    python benchmarks/red_team.py [--minutes 10] [--seed 0] [--json FILE]

`weaknesses/` holds thirty rewards with a hole each, two a recipe; ten of them were kept back while the search was
tuned. A weakness is found where a wrong completion earns a fifth of the gap between right and wrong, and as much of it
through that reward; it is open from half of the gap on. Recipes share the time; a shipped recipe whose data is not at
hand (MULL_DATA, or made by a generator) is attacked on a few problems of its shape.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from benchmarks.weaknesses.recipes import planted, shipped
from configs.schema.grpo import GrpoConfig
from rewards.attack.findings import state_of
from rewards.attack.run import Attack, run_attack

RECIPES = 15


def main(argv: Sequence[str]) -> None:
    """Print every figure, and write them to `--json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all planted recipes together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        weaknesses = list(_weaknesses(folder, arguments.minutes / RECIPES, arguments.seed))
        seconds = time.perf_counter() - start
        recipes = list(_shipped(folder, arguments.minutes / RECIPES, arguments.seed))
    figures = {"weaknesses": weaknesses, "shipped": recipes} | _totals(weaknesses, recipes, seconds)
    for row in [*weaknesses, *recipes]:
        print("  ".join(f"{value}" for value in row.values()))
    for key, value in figures.items():
        if not isinstance(value, list):
            print(f"{key:28} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _weaknesses(folder: Path, minutes: float, seed: int) -> Iterator[dict[str, Any]]:
    """A row a planted weakness: how it was found, if it was."""
    for recipe in planted(folder):
        attack = _attacked(recipe.config, folder / "planted" / recipe.name, minutes, seed)
        for hole in recipe.holes:
            found = [one for one in attack.finds if hole in one.through]
            best = max(found, key=lambda one: one.objective(hole), default=None)
            yield {
                "recipe": recipe.name,
                "weakness": hole,
                "held_back": recipe.is_held_back,
                "state": state_of(best) if best else "missed",
                "share": round(best.by_reward[hole], 3) if best else 0.0,
                "hack": best.genome.name if best else "",
            }


def _shipped(folder: Path, minutes: float, seed: int) -> Iterator[dict[str, Any]]:
    """A row a shipped recipe: what is open, and what was noted."""
    for name, config in shipped(folder):
        attack = _attacked(config, folder / "shipped" / name, minutes, seed)
        states = [*map(state_of, attack.finds), *(remark.state for remark in attack.remarks)]
        remarks = "; ".join([*(one.genome.name for one in attack.finds), *map(str, attack.remarks)])
        yield {"recipe": name, "open": states.count("open"), "noted": states.count("noted"), "what": remarks}


def _attacked(config: GrpoConfig, folder: Path, minutes: float, seed: int) -> Attack:
    return run_attack(config, minutes=minutes, seed=seed, folder=folder)


def _totals(weaknesses: Sequence[dict[str, Any]], recipes: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    def found(rows: Sequence[dict[str, Any]], *states: str) -> str:
        return f"{sum(row['state'] in states for row in rows)} of {len(rows)}"

    tuned = [row for row in weaknesses if not row["held_back"]]
    held_back = [row for row in weaknesses if row["held_back"]]
    return {
        "found": found(weaknesses, "open", "noted"),
        "open": found(weaknesses, "open"),
        "tuned_found": found(tuned, "open", "noted"),
        "held_back_found": found(held_back, "open", "noted"),
        "held_back_open": found(held_back, "open"),
        "seconds": round(seconds, 1),
        "shipped_open": sum(row["open"] for row in recipes),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
