"""What a completion is worth: grading, shipped rewards, and their composition."""

from pathlib import Path
from runpy import run_path

run_path(str(Path(__file__).parents[1] / "configs" / "shadowing.py"))["refuse_hidden_package"]()
