"""Rounds in which a model poses problems, solves them, and learns from what it got right."""

from pathlib import Path
from runpy import run_path

run_path(str(Path(__file__).parents[1] / "configs" / "shadowing.py"))["refuse_hidden_package"]()
