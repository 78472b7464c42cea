"""The board: runs watched, compared, started and talked to in a browser.

A thin face: what it shows is read from run folders, and what it does is a command of ours in a process of its own.
"""

from pathlib import Path
from runpy import run_path

run_path(str(Path(__file__).parents[1] / "configs" / "shadowing.py"))["refuse_hidden_package"]()
