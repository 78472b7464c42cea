"""Every Python snippet of the README and of docs/ runs, in the order of its page.

A block whose first line is a comment that begins with `# my_` is a file of that name in the working directory; one that
begins with `# a server` needs one at hand and is only parsed.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs.shadowing import PACKAGES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[str]:
    """The page's Python blocks."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def test_snippets_import_from_mull_alone() -> None:
    ours = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(set(PACKAGES) - {'mull'})})\b")
    wrong = [line for page in PAGES for block in blocks(page) for line in block.splitlines() if ours.match(line)]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_are_python(page: Path) -> None:
    for block in blocks(page):
        ast.parse(block)


@pytest.mark.engine
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_snippets_run(page: Path, tmp_path: Path) -> None:
    script = []
    for block in blocks(page):
        first = block.partition("\n")[0]
        if first.startswith("# my_"):
            (tmp_path / first.removeprefix("# ").split()[0]).write_text(block, encoding="utf-8")
        elif not first.startswith("# a server"):
            script.append(block)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
