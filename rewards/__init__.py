"""Rewards: what a completion is worth. `rewards.build(specs)` makes a recipe's `rewards:` list into one `RewardSet`."""

from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, Any

run_path(str(Path(__file__).parents[1] / "configs" / "shadowing.py"))["refuse_hidden_package"]()

if TYPE_CHECKING:
    from rewards.registry import build as build


def __getattr__(name: str) -> Any:
    if name == "build":  # lazy: `python -m rewards.grading.worker` and `--help` need none of it
        from rewards.registry import build

        return build
    raise AttributeError(f"module 'rewards' has no attribute {name!r}")
