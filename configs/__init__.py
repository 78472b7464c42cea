"""Recipes and their schema: YAML + overrides → one validated, typed config per command."""
