"""Models that act in an environment, measured as they were trained: with its tools."""

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from configs.schema.evaluation import EvalConfig

if TYPE_CHECKING:
    from models.engines.base import Engine

AT_ONCE = 64
"""Samples that act at a time, each in an instance of its own."""


def acting_engine(engine: "Engine", config: EvalConfig) -> "Engine":
    """`engine` in the recipe's environment; itself where the recipe names none. Raises `MullError`s."""
    if config.environment is None:
        return engine
    from rewards.environment import tool_use  # torch

    tools = tool_use(config.environment, engine.tokenizer, engine.think_format)
    assert tools is not None
    print(f"environment: {tools.about(config.max_turns)}")
    return tools.engine(engine, config.max_turns, AT_ONCE)


def without_its_tools(config: EvalConfig) -> list[str]:
    """What a reader of the accuracy must know: the adapter was trained in an environment that is not this one."""
    trained_in = environment_of(config.model.adapter)
    if trained_in is None or trained_in == config.environment or config.answers is not None:
        return []
    here = config.environment or "none"
    return [f"the model was trained in the environment {trained_in}, and is measured in {here}: set environment"]


def environment_of(adapter: str | None) -> str | None:
    """The environment of the run that trained `adapter`, as the run's `config.yaml` beside it says; None if unknown."""
    file = Path(adapter).parent / "config.yaml" if adapter else None
    if file is None or not file.is_file():
        return None
    try:
        rollout = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("rollout") or {}
        found = rollout.get("environment")
    except (yaml.YAMLError, AttributeError, OSError):
        return None
    return None if found is None else str(found)
