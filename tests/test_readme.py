"""The README's file tree is true: every module once, with the first line of its docstring.

python -m tests.test_readme    # writes the tree anew
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ["configs", "data", "rewards", "budget_forcing", "models", "sft", "rl", "report", "benchmarks"]
TREE = re.compile(r"(?<=<!-- tree -->\n```\n).*?(?=```\n<!-- /tree -->)", re.DOTALL)


def tree() -> str:
    """One line a module, packages in the order that they build on each other."""
    lines = []
    for package in PACKAGES:
        lines.append(f"{package}/")
        for path in sorted((ROOT / package).rglob("*.py")):
            first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
            if path.name != "__init__.py":
                name = str(path.relative_to(ROOT / package))
                lines.append(f"    {name:<30} {sentence(' '.join(first.split()))}")
    return "\n".join(lines) + "\n"


def sentence(text: str) -> str:
    """Up to the first full stop or semicolon."""
    return re.split(r"[;.](?:\s|$)", text)[0]


def test_the_tree_is_true() -> None:
    found = TREE.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == tree(), "run: python -m tests.test_readme"


def test_every_module_says_what_it_is() -> None:
    assert all(len(line.split(maxsplit=1)) == 2 for line in tree().splitlines() if line.startswith(" "))


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(TREE.sub(lambda _: tree(), readme.read_text(encoding="utf-8")), encoding="utf-8")
