"""Reading the sources of pinned packages, where they can't be imported or their inside is what matters."""

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def function(tree: ast.AST, name: str, inside: str | None = None) -> ast.FunctionDef:
    """The function `name`, in class `inside` if that is given."""
    scope = tree
    if inside is not None:
        scope = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == inside)
    return next(node for node in ast.walk(scope) if isinstance(node, ast.FunctionDef) and node.name == name)


def parameters(found: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in (*found.args.posonlyargs, *found.args.args, *found.args.kwonlyargs)]


def flat(node: ast.AST) -> str:
    return re.sub(r"\s+", " ", ast.unparse(node))


def unsloth_wheels(folder: Path) -> Path:
    """The pinned wheels of Unsloth, unpacked in `folder`; they need a GPU to be imported."""
    pins = re.findall(r"\"(unsloth(?:_zoo)?==[\d.]+)\"", (ROOT / "pyproject.toml").read_text())
    assert len(pins) == 2
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *pins],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        pytest.skip(f"the wheels can't be downloaded here: {done.stderr.strip().splitlines()[-1:]}")
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)
    return folder
