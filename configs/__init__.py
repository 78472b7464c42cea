"""Recipes and their schema: YAML + overrides → one validated, typed config per command."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from configs.recipe import load as load


def __getattr__(name: str) -> Any:
    if name == "load":  # lazy: pydantic and OmegaConf stay out of `--help`
        from configs.recipe import load

        return load
    raise AttributeError(f"module 'configs' has no attribute {name!r}")
