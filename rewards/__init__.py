"""Rewards: what a completion is worth. `rewards.build(specs)` makes a recipe's `rewards:` list into one `RewardSet`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewards.registry import build as build


def __getattr__(name: str) -> Any:
    if name == "build":  # lazy: `python -m rewards.grading.worker` and `--help` need none of it
        from rewards.registry import build

        return build
    raise AttributeError(f"module 'rewards' has no attribute {name!r}")
