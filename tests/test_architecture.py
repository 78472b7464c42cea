"""The file tree of docs/architecture.md is true: every module and recipe once, with its own first sentence.

python -m tests.test_architecture    # writes the tree anew
"""

import ast
import itertools
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["root_packages"]
TREE = re.compile(r"(?<=<!-- tree -->\n```\n).*?(?=```\n<!-- /tree -->)", re.DOTALL)


def tree() -> str:
    """One line a module or recipe, packages in the order that they build on each other."""
    lines = []
    for package in [*PACKAGES, "benchmarks"]:
        files = [path for kind in ("*.py", "*.yaml") for path in (ROOT / package).rglob(kind)]
        named = {str(path.relative_to(ROOT / package)): path for path in sorted(files) if path.name != "__init__.py"}
        lines += [f"{package}/", *(f"    {name:<30} {sentence(about(path))}" for name, path in named.items())]
    return "\n".join(lines) + "\n"


def about(path: Path) -> str:
    """A module's docstring, a recipe's opening comment, up to the first blank line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    else:
        text = "\n".join(line[2:] for line in itertools.takewhile(lambda line: line[0] == "#", text.splitlines()))
    return " ".join(text.split("\n\n")[0].split())


def sentence(text: str) -> str:
    """Up to the first full stop or semicolon."""
    return re.split(r"[;.](?:\s|$)|:$", text)[0]


def test_tree_is_up_to_date() -> None:
    found = TREE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == tree(), "run: python -m tests.test_architecture"


def test_every_module_is_described() -> None:
    assert all(len(line.split(maxsplit=1)) == 2 for line in tree().splitlines() if line.startswith(" "))


if __name__ == "__main__":
    PAGE.write_text(TREE.sub(lambda _: tree(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
